import argparse
import logging
import math
import os

import numpy as np
import paddle
import paddle.fluid as fluid

from criteo_reader import CriteoDataset

logging.basicConfig(format='%(asctime)s - %(levelname)s - %(message)s')
logger = logging.getLogger("fluid")
logger.setLevel(logging.INFO)


def parse_args():
    parser = argparse.ArgumentParser(description="DeepFM over lines of clicks")
    parser.add_argument('--train_data_dir', type=str, default='train_data')
    parser.add_argument('--test_data_dir', type=str, default='test_data')
    parser.add_argument('--model_output_dir', type=str, default='models')
    parser.add_argument('--init_state', type=str, default='', help="a saved model to begin with")
    parser.add_argument('--num_epoch', type=int, default=2)
    parser.add_argument('--batch_size', type=int, default=16)
    parser.add_argument('--embedding_size', type=int, default=6)
    parser.add_argument('--layer_sizes', nargs='+', type=int, default=[12, 10])
    parser.add_argument('--act', type=str, default='relu')
    parser.add_argument('--lr', type=float, default=1e-2)
    parser.add_argument('--reg', type=float, default=1e-4)
    parser.add_argument('--num_field', type=int, default=8)
    parser.add_argument('--num_feat', type=int, default=60)
    parser.add_argument('--use_gpu', type=int, default=0)
    return parser.parse_args()


def ctr_deepfm_model(embedding_size, num_field, num_feat, layer_sizes, act, reg, is_sparse=True):
    init_value_ = 0.1

    raw_feat_idx = fluid.data(name='feat_idx', shape=[None, num_field], dtype='int64')
    raw_feat_value = fluid.data(name='feat_value', shape=[None, num_field], dtype='float32')
    label = fluid.data(name='label', shape=[None, 1], dtype='float32')
    feat_idx = fluid.layers.reshape(raw_feat_idx, [-1, 1])  # (None * num_field) * 1
    feat_value = fluid.layers.reshape(raw_feat_value, [-1, num_field, 1])  # None * num_field * 1

    # -------------------- first order term --------------------
    first_weights_re = fluid.embedding(
        input=feat_idx,
        is_sparse=is_sparse,
        dtype='float32',
        size=[num_feat + 1, 1],
        padding_idx=0,
        param_attr=fluid.ParamAttr(
            initializer=fluid.initializer.TruncatedNormalInitializer(loc=0.0, scale=init_value_),
            regularizer=fluid.regularizer.L1DecayRegularizer(reg)))
    first_weights = fluid.layers.reshape(first_weights_re, shape=[-1, num_field, 1])
    y_first_order = fluid.layers.reduce_sum((first_weights * feat_value), 1)

    # -------------------- second order term --------------------
    feat_embeddings_re = fluid.embedding(
        input=feat_idx,
        is_sparse=is_sparse,
        dtype='float32',
        size=[num_feat + 1, embedding_size],
        padding_idx=0,
        param_attr=fluid.ParamAttr(
            initializer=fluid.initializer.TruncatedNormalInitializer(
                loc=0.0, scale=init_value_ / math.sqrt(float(embedding_size)))))
    feat_embeddings = fluid.layers.reshape(feat_embeddings_re, shape=[-1, num_field, embedding_size])
    feat_embeddings = feat_embeddings * feat_value  # None * num_field * embedding_size

    summed_features_emb = fluid.layers.reduce_sum(feat_embeddings, 1)
    summed_features_emb_square = fluid.layers.square(summed_features_emb)

    squared_features_emb = fluid.layers.square(feat_embeddings)
    squared_sum_features_emb = fluid.layers.reduce_sum(squared_features_emb, 1)

    y_second_order = 0.5 * fluid.layers.reduce_sum(
        summed_features_emb_square - squared_sum_features_emb, 1, keep_dim=True)

    # -------------------- DNN --------------------
    y_dnn = fluid.layers.reshape(feat_embeddings, [-1, num_field * embedding_size])
    for s in layer_sizes:
        y_dnn = fluid.layers.fc(
            input=y_dnn,
            size=s,
            act=act,
            param_attr=fluid.ParamAttr(
                initializer=fluid.initializer.TruncatedNormalInitializer(
                    loc=0.0, scale=init_value_ / math.sqrt(float(10)))),
            bias_attr=fluid.ParamAttr(
                initializer=fluid.initializer.TruncatedNormalInitializer(loc=0.0, scale=init_value_)))
    y_dnn = fluid.layers.fc(
        input=y_dnn,
        size=1,
        act=None,
        param_attr=fluid.ParamAttr(
            initializer=fluid.initializer.TruncatedNormalInitializer(loc=0.0, scale=init_value_)),
        bias_attr=fluid.ParamAttr(
            initializer=fluid.initializer.TruncatedNormalInitializer(loc=0.0, scale=init_value_)))

    # ------------------- predict -------------------
    predict = fluid.layers.sigmoid(y_first_order + y_second_order + y_dnn)
    cost = fluid.layers.log_loss(input=predict, label=label)
    batch_cost = fluid.layers.reduce_sum(cost)

    # for auc
    predict_2d = fluid.layers.concat([1 - predict, predict], 1)
    label_int = fluid.layers.cast(label, 'int64')
    auc_var, batch_auc_var, auc_states = fluid.layers.auc(input=predict_2d, label=label_int, slide_steps=0)
    return batch_cost, auc_var, [raw_feat_idx, raw_feat_value, label], auc_states


def train(args):
    if not os.path.isdir(args.model_output_dir):
        os.mkdir(args.model_output_dir)

    loss, auc, data_list, auc_states = ctr_deepfm_model(
        args.embedding_size, args.num_field, args.num_feat, args.layer_sizes, args.act, args.reg)
    optimizer = fluid.optimizer.SGD(
        learning_rate=args.lr, regularization=fluid.regularizer.L2DecayRegularizer(args.reg))
    optimizer.minimize(loss)

    exe = fluid.Executor(fluid.CPUPlace())
    exe.run(fluid.default_startup_program())
    if args.init_state:
        state_dict = fluid.load_program_state(args.init_state)
        fluid.set_program_state(fluid.default_main_program(), state_dict)

    dataset = fluid.DatasetFactory().create_dataset()
    dataset.set_use_var(data_list)
    pipe_command = 'python criteo_reader.py {}'.format(args.num_feat)
    dataset.set_pipe_command(pipe_command)
    dataset.set_batch_size(args.batch_size)
    dataset.set_thread(1)
    train_filelist = [os.path.join(args.train_data_dir, x) for x in sorted(os.listdir(args.train_data_dir))]

    print('---------------------------------------------')
    for epoch_id in range(args.num_epoch):
        logger.info("epoch %d begins", epoch_id)
        dataset.set_filelist(train_filelist)
        exe.train_from_dataset(
            program=fluid.default_main_program(),
            dataset=dataset,
            fetch_list=[loss, auc],
            fetch_info=['epoch {} batch loss'.format(epoch_id + 1), "auc"],
            print_period=2,
            debug=False)
        model_dir = os.path.join(args.model_output_dir, 'epoch_' + str(epoch_id + 1), "checkpoint")
        fluid.save(fluid.default_main_program(), model_dir)


def set_zero(var_name, scope=None, place=fluid.CPUPlace(), param_type="int64"):
    if scope is None:
        scope = fluid.global_scope()
    param = scope.var(var_name).get_tensor()
    param_array = np.zeros(param._get_dims()).astype(param_type)
    param.set(param_array, place)


def infer(args):
    place = fluid.CPUPlace()
    inference_scope = fluid.Scope()

    test_files = [os.path.join(args.test_data_dir, x) for x in sorted(os.listdir(args.test_data_dir))]
    criteo_dataset = CriteoDataset()
    criteo_dataset.setup(args.num_feat)
    test_reader = fluid.io.batch(criteo_dataset.test(test_files), batch_size=args.batch_size)

    startup_program = fluid.framework.Program()
    test_program = fluid.framework.Program()
    cur_model_path = os.path.join(args.model_output_dir, 'epoch_' + str(args.num_epoch), "checkpoint")

    with fluid.scope_guard(inference_scope):
        with fluid.framework.program_guard(test_program, startup_program):
            with fluid.unique_name.guard():
                loss, auc, data_list, auc_states = ctr_deepfm_model(
                    args.embedding_size, args.num_field, args.num_feat, args.layer_sizes, args.act, args.reg)

                exe = fluid.Executor(place)
                feeder = fluid.DataFeeder(feed_list=data_list, place=place)
                main_program = fluid.default_main_program()
                fluid.load(main_program, cur_model_path, exe)
                for var in auc_states:  # reset auc states
                    set_zero(var.name, scope=inference_scope, place=place)

                loss_all = 0
                num_ins = 0
                for batch_id, data_test in enumerate(test_reader()):
                    loss_val, auc_val = exe.run(
                        test_program, feed=feeder.feed(data_test), fetch_list=[loss.name, auc.name])
                    num_ins += len(data_test)
                    loss_all += loss_val
                    print('TEST --> batch: {} loss: {} auc_val: {}'.format(batch_id, loss_all / num_ins, auc_val))
                print('The last log info is the total Logloss and AUC for all test data. ')


if __name__ == '__main__':
    args = parse_args()
    train(args)
    infer(args)
