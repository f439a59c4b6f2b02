"""Convolutional sentiment model over word ids, trained by a ParallelExecutor."""
from __future__ import print_function

import argparse
import contextlib
import os

import numpy as np

import paddle
import paddle.fluid as fluid

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--dict_dim", type=int, default=-1, help="words in the dictionary, -1 for all of them")
parser.add_argument("--emb_dim", type=int, default=12)
parser.add_argument("--hid_dim", type=int, default=6)
parser.add_argument("--batch_size", type=int, default=16)
parser.add_argument("--epoch", type=int, default=2)
parser.add_argument("--use_cuda", action="store_true")
parser.add_argument("--parallel", type=eval, default=True, choices=[True, False])
parser.add_argument("--pretrained_model", type=str, default=None)
parser.add_argument("--model_save_dir", type=str, default="sentiment_model")


def convolution_net(data, label, input_dim, class_dim=2, emb_dim=32, hid_dim=32, is_infer=False):
    emb = fluid.embedding(input=data, size=[input_dim, emb_dim], is_sparse=True)
    conv_3 = fluid.nets.sequence_conv_pool(
        input=emb, num_filters=hid_dim, filter_size=3, act="tanh", pool_type="sqrt")
    conv_4 = fluid.nets.sequence_conv_pool(
        input=emb, num_filters=hid_dim, filter_size=4, act="tanh", pool_type="sqrt")
    prediction = fluid.layers.fc(input=[conv_3, conv_4], size=class_dim, act="softmax")
    if is_infer:
        return prediction
    cost = fluid.layers.cross_entropy(input=prediction, label=label)
    avg_cost = fluid.layers.mean(cost)
    accuracy = fluid.layers.accuracy(input=prediction, label=label)
    return avg_cost, accuracy, prediction


@contextlib.contextmanager
def new_programs():
    main, startup = fluid.Program(), fluid.Program()
    with fluid.program_guard(main, startup):
        with fluid.unique_name.guard():
            yield main, startup


def train(args, word_dict):
    dict_dim = len(word_dict) if args.dict_dim < 0 else args.dict_dim
    train_reader = paddle.batch(
        paddle.reader.buffered(paddle.dataset.imdb.train(word_dict), size=100),
        batch_size=args.batch_size, drop_last=False)
    test_reader = paddle.batch(paddle.dataset.imdb.test(word_dict), batch_size=args.batch_size)

    with new_programs() as (train_program, startup_program):
        data = fluid.data(name="words", shape=[None], dtype="int64", lod_level=1)
        label = fluid.data(name="label", shape=[None, 1], dtype="int64")
        cost, acc_out, prediction = convolution_net(
            data, label, dict_dim, emb_dim=args.emb_dim, hid_dim=args.hid_dim)
        test_program = train_program.clone(for_test=True)
        adagrad = fluid.optimizer.Adagrad(learning_rate=0.05)
        adagrad.minimize(cost)

    place = fluid.CUDAPlace(0) if args.use_cuda else fluid.CPUPlace()
    exe = fluid.Executor(place)
    feeder = fluid.DataFeeder(feed_list=["words", "label"], place=place, program=train_program)
    exe.run(startup_program)

    if args.pretrained_model:
        def if_exist(var):
            return os.path.exists(os.path.join(args.pretrained_model, var.name))
        fluid.io.load_vars(exe, args.pretrained_model, main_program=train_program, predicate=if_exist)

    os.environ['CPU_NUM'] = '1'
    exec_strategy = fluid.ExecutionStrategy()
    exec_strategy.num_threads = 1
    exec_strategy.num_iteration_per_drop_scope = 10
    build_strategy = fluid.BuildStrategy()
    build_strategy.reduce_strategy = fluid.BuildStrategy.ReduceStrategy.AllReduce
    train_exe = exe
    if args.parallel:
        train_exe = fluid.ParallelExecutor(
            use_cuda=args.use_cuda, loss_name=cost.name, main_program=train_program,
            build_strategy=build_strategy, exec_strategy=exec_strategy)
        test_exe = fluid.ParallelExecutor(
            use_cuda=args.use_cuda, main_program=test_program, share_vars_from=train_exe)

    for pass_id in range(args.epoch):
        data_size, data_count, total_acc, total_cost = 0, 0, 0.0, 0.0
        for data in train_reader():
            if args.parallel:
                avg_cost_np, avg_acc_np = train_exe.run(
                    feed=feeder.feed(data), fetch_list=[cost.name, acc_out.name])
            else:
                avg_cost_np, avg_acc_np = exe.run(
                    train_program, feed=feeder.feed(data), fetch_list=[cost, acc_out])
            data_size = len(data)
            total_acc += data_size * np.mean(avg_acc_np)
            total_cost += data_size * np.mean(avg_cost_np)
            data_count += data_size
            print("batch of %d, cost: %f, acc: %f" % (data_size, np.mean(avg_cost_np), np.mean(avg_acc_np)))
        avg_cost = total_cost / data_count
        avg_acc = total_acc / data_count
        print("pass_id: %d, avg_acc: %f, avg_cost: %f" % (pass_id, avg_acc, avg_cost))

        costs, accs = [], []
        for data in test_reader():
            if args.parallel:
                outs = test_exe.run(feed=feeder.feed(data), fetch_list=[cost.name, acc_out.name])
            else:
                outs = exe.run(test_program, feed=feeder.feed(data), fetch_list=[cost, acc_out])
            costs.append(np.mean(outs[0]))
            accs.append(np.mean(outs[1]))
        print("test: cost %f, acc %f" % (np.mean(costs), np.mean(accs)))

        epoch_model = args.model_save_dir + "/" + "epoch" + str(pass_id)
        fluid.io.save_inference_model(
            epoch_model, ["words"], [prediction], exe, main_program=train_program,
            model_filename="model", params_filename="params")


def infer(args, word_dict):
    place = fluid.CPUPlace()
    exe = fluid.Executor(place)
    with fluid.scope_guard(fluid.core.Scope()):
        program, feed_names, fetch_vars = fluid.io.load_inference_model(
            os.path.join(args.model_save_dir, "epoch%d" % (args.epoch - 1)), exe,
            model_filename="model", params_filename="params")
        reviews = [c.split() for c in ["read the book forget the movie", "this is a great movie", "this is very bad"]]
        UNK = word_dict['<unk>']
        lod = [[word_dict.get(word.encode(), UNK) for word in c] for c in reviews]
        base_shape = [[len(c) for c in lod]]
        lod = np.array(sum(lod, []), dtype=np.int64)
        tensor_words = fluid.create_lod_tensor(lod, base_shape, place)
        results = exe.run(program, feed={feed_names[0]: tensor_words}, fetch_list=fetch_vars, return_numpy=False)
        for i, r in enumerate(np.array(results[0])):
            print("Predict probability of ", r[0], " to be positive and ", r[1],
                  " to be negative for review \'", " ".join(reviews[i]), "\'")


if __name__ == "__main__":
    args = parser.parse_args()
    print("%s" % ", ".join("%s=%s" % item for item in sorted(vars(args).items()) if item[0] != "pretrained_model"))
    words = paddle.dataset.imdb.word_dict()
    train(args, words)
    infer(args, words)
