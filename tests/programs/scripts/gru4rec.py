import argparse
import math
import os
import sys

import numpy as np
import paddle
import paddle.fluid as fluid


def parse_args():
    parser = argparse.ArgumentParser("gru4rec benchmark.")
    parser.add_argument('--train_file', type=str, default='sessions.txt')
    parser.add_argument('--test_file', type=str, default='sessions_test.txt')
    parser.add_argument('--vocab_size', type=int, default=41)
    parser.add_argument('--hid_size', type=int, default=10)
    parser.add_argument('--neg_size', type=int, default=10)
    parser.add_argument('--base_lr', type=float, default=0.02)
    parser.add_argument('--batch_size', type=int, default=5)
    parser.add_argument('--epoch', '--pass_num', dest='pass_num', type=int, default=2)
    parser.add_argument('--use_cuda', type=int, default=0)
    parser.add_argument('--pretrain_dir', type=str, default='')
    parser.add_argument('--model_dir', type=str, default='model_recall20')
    args = parser.parse_args()
    return args


def to_lodtensor(data, place):
    """ convert to LODtensor """
    seq_lens = [len(seq) for seq in data]
    cur_len = 0
    lod = [cur_len]
    for l in seq_lens:
        cur_len += l
        lod.append(cur_len)
    flattened_data = np.concatenate(data, axis=0).astype("int64")
    flattened_data = flattened_data.reshape([len(flattened_data), 1])
    res = fluid.LoDTensor()
    res.set(flattened_data, place)
    res.set_lod([lod])
    return res


def prepare_data(file_name, batch_size):
    def sort_batch(reader, batch_size, sort_group_size):
        def batch_reader():
            group = []
            for sample in reader():
                group.append(sample)
                if len(group) == sort_group_size:
                    group.sort(key=lambda x: len(x[0]), reverse=True)
                    for i in range(0, len(group), batch_size):
                        yield group[i:i + batch_size]
                    group = []
            for i in range(0, len(group), batch_size):
                yield group[i:i + batch_size]
        return batch_reader

    def reader():
        with open(file_name) as fin:
            for line in fin:
                ids = [int(w) for w in line.strip().split()]
                if len(ids) > 1:
                    yield ids[:-1], ids[1:]

    return sort_batch(reader, batch_size, batch_size * 20)


def network(vocab_size, hid_size=100, init_low_bound=-0.04, init_high_bound=0.04):
    """ network definition """
    emb_lr_x = 10.0
    gru_lr_x = 1.0
    fc_lr_x = 1.0
    src_wordseq = fluid.data(name="src_wordseq", shape=[None, 1], dtype="int64", lod_level=1)
    dst_wordseq = fluid.data(name="dst_wordseq", shape=[None, 1], dtype="int64", lod_level=1)

    emb = fluid.layers.embedding(
        input=src_wordseq,
        size=[vocab_size, hid_size],
        param_attr=fluid.ParamAttr(
            name="emb",
            initializer=fluid.initializer.Uniform(low=init_low_bound, high=init_high_bound),
            learning_rate=emb_lr_x),
        is_sparse=True)
    fc0 = fluid.layers.fc(
        input=emb,
        size=hid_size * 3,
        param_attr=fluid.ParamAttr(
            initializer=fluid.initializer.Uniform(low=init_low_bound, high=init_high_bound),
            learning_rate=gru_lr_x))
    gru_h0 = fluid.layers.dynamic_gru(
        input=fc0,
        size=hid_size,
        param_attr=fluid.ParamAttr(
            initializer=fluid.initializer.Uniform(low=init_low_bound, high=init_high_bound),
            learning_rate=gru_lr_x))
    fc = fluid.layers.fc(
        input=gru_h0,
        size=vocab_size,
        act='softmax',
        param_attr=fluid.ParamAttr(
            initializer=fluid.initializer.Uniform(low=init_low_bound, high=init_high_bound),
            learning_rate=fc_lr_x))
    cost = fluid.layers.cross_entropy(input=fc, label=dst_wordseq)
    acc = fluid.layers.accuracy(input=fc, label=dst_wordseq, k=20)
    return src_wordseq, dst_wordseq, cost, acc


def train():
    """ do training """
    args = parse_args()
    hid_size = args.hid_size
    vocab_size = args.vocab_size
    train_reader = prepare_data(args.train_file, args.batch_size)

    # Train program
    src_wordseq, dst_wordseq, cost, acc = network(vocab_size=vocab_size, hid_size=hid_size)
    avg_cost = fluid.layers.mean(x=cost)

    # Optimization to minimize lost
    adagrad = fluid.optimizer.Adagrad(learning_rate=args.base_lr)
    adagrad.minimize(avg_cost)

    # Initialize executor
    place = fluid.CUDAPlace(0) if args.use_cuda else fluid.CPUPlace()
    exe = fluid.Executor(place)
    exe.run(fluid.default_startup_program())
    if args.pretrain_dir:
        fluid.io.load_vars(
            exe, args.pretrain_dir,
            vars=[v for v in fluid.default_main_program().list_vars() if isinstance(v, fluid.framework.Parameter)])
    fetch_list = [avg_cost.name]

    for pass_idx in range(args.pass_num):
        epoch_idx = pass_idx + 1
        print("epoch_%d start" % epoch_idx)
        i = 0
        newest_ppl = 0
        for data in train_reader():
            i += 1
            lod_src_wordseq = to_lodtensor([dat[0] for dat in data], place)
            lod_dst_wordseq = to_lodtensor([dat[1] for dat in data], place)
            ret_avg_cost = exe.run(fluid.default_main_program(),
                                   feed={"src_wordseq": lod_src_wordseq, "dst_wordseq": lod_dst_wordseq},
                                   fetch_list=fetch_list)
            avg_ppl = np.exp(ret_avg_cost[0])
            newest_ppl = np.mean(avg_ppl)
            if i % 2 == 1:
                print("step:%d ppl:%.4f" % (i, newest_ppl))

        print("epoch:%d num_steps:%d" % (epoch_idx, i))
        save_dir = "%s/epoch_%d" % (args.model_dir, epoch_idx)
        feed_var_names = ["src_wordseq", "dst_wordseq"]
        fetch_vars = [avg_cost, acc]
        fluid.io.save_inference_model(save_dir, feed_var_names, fetch_vars, exe)
        print("model saved in %s" % save_dir)

    emb = np.array(fluid.global_scope().find_var("emb").get_tensor())
    print("the table has shape", emb.shape, "and mean length %.4f" % np.sqrt((emb**2).sum(1)).mean())


def infer(test_reader, use_cuda, model_path):
    """ inference function """
    place = fluid.CUDAPlace(0) if use_cuda else fluid.CPUPlace()
    exe = fluid.Executor(place)
    with fluid.scope_guard(fluid.Scope()):
        infer_program, feed_target_names, fetch_vars = fluid.io.load_inference_model(model_path, exe)
        accum_num_recall = 0.0
        accum_num_sum = 0.0
        step_id = 0
        for data in test_reader():
            step_id += 1
            src_wordseq = to_lodtensor([dat[0] for dat in data], place)
            dst_wordseq = to_lodtensor([dat[1] for dat in data], place)
            para = exe.run(infer_program,
                           feed={"src_wordseq": src_wordseq, "dst_wordseq": dst_wordseq},
                           fetch_list=fetch_vars,
                           return_numpy=False)
            acc_ = para[1]._get_float_element(0)
            data_length = len(np.concatenate([dat[0] for dat in data], axis=0).astype("int64"))
            accum_num_sum += data_length
            accum_num_recall += data_length * acc_
            print("step:%d recall@20:%.4f" % (step_id, accum_num_recall / accum_num_sum))
        print("model:%s recall@20:%.3f" % (model_path, accum_num_recall / accum_num_sum))


if __name__ == "__main__":
    train()
    arguments = parse_args()
    infer(prepare_data(arguments.test_file, arguments.batch_size), arguments.use_cuda,
          os.path.join(arguments.model_dir, "epoch_%d" % arguments.pass_num))
