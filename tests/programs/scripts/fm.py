"""Factorization machine over sparse slots, read by a py_reader."""
from __future__ import division, print_function

import argparse
import os

import numpy as np
import paddle
import paddle.fluid as fluid
import paddle.fluid.incubate.data_generator as dg  # noqa: F401
from paddle.fluid.executor import global_scope
from paddle.fluid.framework import default_main_program, default_startup_program
from paddle.fluid.initializer import NumpyArrayInitializer, TruncatedNormal
from paddle.fluid.param_attr import ParamAttr

dense_feature_dim = 3
sparse_slots = 4


def parse_args():
    parser = argparse.ArgumentParser(description="Factorization machine")
    parser.add_argument('--train_data_path', type=str, default='./clicks.txt')
    parser.add_argument('--model_output_dir', type=str, default='fm_models')
    parser.add_argument('--factor_size', type=int, default=5)
    parser.add_argument('--sparse_feature_dim', type=int, default=50)
    parser.add_argument('--batch_size', type=int, default=10)
    parser.add_argument('--num_passes', type=int, default=2)
    parser.add_argument('--lr', type=float, default=0.1)
    parser.add_argument('--reg', type=float, default=1e-3)
    parser.add_argument('--init_seed', type=int, default=0, help="0: draw the factors by Fluid, else by NumPy")
    return parser.parse_args()


class ClickReader(object):
    def __init__(self, sparse_feature_dim):
        self.hash_dim_ = sparse_feature_dim

    def reader_creator(self, path):
        def reader():
            with open(path, 'r') as f:
                for line in f:
                    label, dense, rest = line.rstrip('\n').split('|')
                    slots = [[int(x) % self.hash_dim_ for x in slot.split(',')] for slot in rest.split(' ')]
                    yield [[float(x) for x in dense.split(',')]] + slots + [[int(label)]]

        return reader

    def train(self, path):
        return self.reader_creator(path)


def fm_net(factor_size, sparse_feature_dim, reg, seed, py_reader):
    def attr(name, shape, scale):
        if seed:
            values = np.random.RandomState(seed).normal(0, scale, shape).astype('float32')
            initializer = NumpyArrayInitializer(values)
        else:
            initializer = TruncatedNormal(loc=0.0, scale=scale)
        return ParamAttr(name=name, initializer=initializer, regularizer=fluid.regularizer.L1Decay(reg))

    words = fluid.layers.read_file(py_reader)
    dense, slots, label = words[0], words[1:-1], words[-1]

    def first_order(ids):
        weight = fluid.layers.embedding(
            input=ids, is_sparse=True, size=[sparse_feature_dim, 1],
            param_attr=attr('first', [sparse_feature_dim, 1], 0.1))
        return fluid.layers.sequence_pool(input=weight, pool_type='sum')

    def factors(ids):
        rows = fluid.layers.embedding(
            input=ids, is_sparse=True, size=[sparse_feature_dim, factor_size],
            param_attr=attr('factors', [sparse_feature_dim, factor_size], 0.3))
        return fluid.layers.sequence_pool(input=rows, pool_type='sum')

    linear = fluid.layers.sums([first_order(ids) for ids in slots])
    linear = fluid.layers.elementwise_add(
        linear, fluid.layers.fc(dense, size=1, param_attr=fluid.initializer.Constant(0.02)))

    pooled = [factors(ids) for ids in slots]
    stacked = fluid.layers.stack(pooled, axis=1)
    square_of_sum = fluid.layers.square(fluid.layers.reduce_sum(stacked, dim=1))
    sum_of_square = fluid.layers.reduce_sum(fluid.layers.square(stacked), dim=1)
    crossed = fluid.layers.scale(
        fluid.layers.reduce_sum(square_of_sum - sum_of_square, dim=1, keep_dim=True), scale=0.5)

    predict = fluid.layers.sigmoid(fluid.layers.elementwise_add(linear, crossed))
    cost = fluid.layers.log_loss(input=predict, label=fluid.layers.cast(label, 'float32'))
    avg_cost = fluid.layers.reduce_mean(cost)
    predict_2d = fluid.layers.concat([1.0 - predict, predict], axis=1)
    auc_var, batch_auc_var, auc_states = fluid.layers.auc(
        input=predict_2d, label=label, num_thresholds=2**12, slide_steps=20)
    return avg_cost, auc_var, batch_auc_var


def train():
    args = parse_args()
    if not os.path.isdir(args.model_output_dir):
        os.mkdir(args.model_output_dir)

    py_reader = fluid.layers.py_reader(
        capacity=64,
        shapes=[[-1, dense_feature_dim]] + [[-1, 1]] * sparse_slots + [[-1, 1]],
        lod_levels=[0] + [1] * sparse_slots + [0],
        dtypes=['float32'] + ['int64'] * sparse_slots + ['int64'],
        name='click_reader',
        use_double_buffer=False)
    loss, auc_var, batch_auc_var = fm_net(
        args.factor_size, args.sparse_feature_dim, args.reg, args.init_seed, py_reader)
    optimizer = fluid.optimizer.SGD(learning_rate=args.lr)
    optimizer.minimize(loss)

    dataset = ClickReader(args.sparse_feature_dim)
    py_reader.decorate_paddle_reader(
        paddle.batch(dataset.train(args.train_data_path), batch_size=args.batch_size))

    exe = fluid.Executor(fluid.CPUPlace())
    exe.run(default_startup_program())

    for pass_id in range(args.num_passes):
        py_reader.start()
        batch_id = 0
        try:
            while True:
                loss_val, auc_val, batch_auc_val = exe.run(
                    default_main_program(), fetch_list=[loss.name, auc_var.name, batch_auc_var.name])
                loss_val = np.mean(loss_val)
                auc_val = np.mean(auc_val)
                batch_auc_val = np.mean(batch_auc_val)
                print("TRAIN --> pass: {} batch: {} loss: {:.6f} auc: {:.5f}, batch_auc: {:.5f}".format(
                    pass_id, batch_id, loss_val / args.batch_size, auc_val, batch_auc_val))
                batch_id += 1
        except fluid.core.EOFException:
            py_reader.reset()
        model_dir = args.model_output_dir + '/pass-' + str(pass_id)
        fluid.io.save_persistables(executor=exe, dirname=model_dir, main_program=default_main_program())

    last = np.array(global_scope().find_var('factors').get_tensor())
    print("saved:", " ".join(sorted(name for name in os.listdir(model_dir) if 'generated' not in name)))
    table = fluid.global_scope().var('factors').get_tensor()
    table.set(np.zeros([args.sparse_feature_dim, args.factor_size]).astype('float32'), fluid.CPUPlace())
    fluid.io.load_persistables(exe, model_dir, default_main_program())
    print("loaded again:", np.array_equal(last, np.array(global_scope().find_var('factors').get_tensor())))


if __name__ == '__main__':
    train()
