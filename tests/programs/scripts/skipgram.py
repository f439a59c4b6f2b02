"""Skip-gram word vectors with negative samples drawn by the reader."""
from __future__ import print_function

import argparse
import os

import numpy as np

import paddle
import paddle.fluid as fluid


def parse_args():
    parser = argparse.ArgumentParser(description="skip-gram")
    parser.add_argument('--train_data', type=str, default='./sessions.txt')
    parser.add_argument('--dict_size', type=int, default=41)
    parser.add_argument('--embedding_size', type=int, default=8)
    parser.add_argument('--nce_num', type=int, default=5)
    parser.add_argument('--window_size', type=int, default=2)
    parser.add_argument('--batch_size', type=int, default=25)
    parser.add_argument('--num_passes', type=int, default=2)
    parser.add_argument('--base_lr', type=float, default=0.3)
    parser.add_argument('--is_sparse', action='store_true')
    parser.add_argument('--model_output_dir', type=str, default='skipgram_models')
    return parser.parse_args()


class Word2VecReader(object):
    def __init__(self, path, window_size, nce_num, dict_size, batch_size):
        self.path, self.window_size, self.nce_num = path, window_size, nce_num
        self.dict_size, self.batch_size = dict_size, batch_size
        self.random_generator = np.random.RandomState(11)

    def get_context_words(self, words, idx):
        start = max(0, idx - self.window_size)
        return words[start:idx] + words[idx + 1:idx + 1 + self.window_size]

    def train(self):
        def nce_reader():
            batch = []
            with open(self.path) as f:
                for line in f:
                    word_ids = [int(w) for w in line.split()]
                    for idx, target_id in enumerate(word_ids):
                        for context_id in self.get_context_words(word_ids, idx):
                            neg = self.random_generator.randint(0, self.dict_size, self.nce_num)
                            batch.append((target_id, context_id, neg))
                            if len(batch) == self.batch_size:
                                yield tuple(
                                    np.array([sample[k] for sample in batch]).astype('int64').reshape(-1, width)
                                    for k, width in enumerate((1, 1, self.nce_num)))
                                batch = []

        return nce_reader


def skip_gram_word2vec(dict_size, embedding_size, is_sparse=False, neg_num=5):
    words = []
    input_word = fluid.layers.data(name="input_word", shape=[1], dtype='int64')
    true_word = fluid.layers.data(name='true_label', shape=[1], dtype='int64')
    neg_word = fluid.layers.data(name="neg_label", shape=[neg_num], dtype='int64')
    words.append(input_word)
    words.append(true_word)
    words.append(neg_word)
    py_reader = fluid.layers.create_py_reader_by_data(
        capacity=64, feed_list=words, name='py_reader', use_double_buffer=True)
    words = fluid.layers.read_file(py_reader)

    table = np.random.RandomState(1).uniform(-0.5, 0.5, [dict_size, embedding_size]).astype('float32')
    input_emb = fluid.layers.embedding(
        input=words[0], is_sparse=is_sparse, size=[dict_size, embedding_size],
        param_attr=fluid.ParamAttr(name='emb', initializer=fluid.initializer.NumpyArrayInitializer(table)))
    true_emb_w = fluid.layers.embedding(
        input=words[1], is_sparse=is_sparse, size=[dict_size, embedding_size],
        param_attr=fluid.ParamAttr(name='emb_w', initializer=fluid.initializer.Constant(value=0.0)))
    true_emb_b = fluid.layers.embedding(
        input=words[1], is_sparse=is_sparse, size=[dict_size, 1],
        param_attr=fluid.ParamAttr(name='emb_b', initializer=fluid.initializer.Constant(value=0.0)))

    neg_word_reshape = fluid.layers.reshape(words[2], shape=[-1, 1])
    neg_word_reshape.stop_gradient = True
    neg_emb_w = fluid.layers.embedding(
        input=neg_word_reshape, is_sparse=is_sparse, size=[dict_size, embedding_size],
        param_attr=fluid.ParamAttr(name='emb_w', learning_rate=1.0))
    neg_emb_w_re = fluid.layers.reshape(neg_emb_w, shape=[-1, neg_num, embedding_size])
    neg_emb_b = fluid.layers.embedding(
        input=neg_word_reshape, is_sparse=is_sparse, size=[dict_size, 1],
        param_attr=fluid.ParamAttr(name='emb_b', learning_rate=1.0))
    neg_emb_b_vec = fluid.layers.reshape(neg_emb_b, shape=[-1, neg_num])

    true_logits = fluid.layers.elementwise_add(
        fluid.layers.reduce_sum(fluid.layers.elementwise_mul(input_emb, true_emb_w), dim=1, keep_dim=True),
        true_emb_b)
    input_emb_re = fluid.layers.reshape(input_emb, shape=[-1, 1, embedding_size])
    neg_matmul = fluid.layers.matmul(input_emb_re, neg_emb_w_re, transpose_y=True)
    neg_matmul_re = fluid.layers.reshape(neg_matmul, shape=[-1, neg_num])
    neg_logits = fluid.layers.elementwise_add(neg_matmul_re, neg_emb_b_vec)
    label_ones = fluid.layers.fill_constant_batch_size_like(
        true_logits, shape=[-1, 1], value=1.0, dtype='float32')
    label_zeros = fluid.layers.fill_constant_batch_size_like(
        true_logits, shape=[-1, neg_num], value=0.0, dtype='float32')
    true_xent = fluid.layers.sigmoid_cross_entropy_with_logits(true_logits, label_ones)
    neg_xent = fluid.layers.sigmoid_cross_entropy_with_logits(neg_logits, label_zeros)
    cost = fluid.layers.elementwise_add(
        fluid.layers.reduce_sum(true_xent, dim=1), fluid.layers.reduce_sum(neg_xent, dim=1))
    avg_cost = fluid.layers.reduce_mean(cost)
    return avg_cost, py_reader


def train_loop(args, reader, py_reader, loss, lr):
    py_reader.decorate_tensor_provider(reader.train())
    exe = fluid.Executor(fluid.CPUPlace())
    exe.run(fluid.default_startup_program())

    exec_strategy = fluid.ExecutionStrategy()
    exec_strategy.use_experimental_executor = True
    exec_strategy.num_threads = int(os.getenv("CPU_NUM"))
    build_strategy = fluid.BuildStrategy()
    if int(os.getenv("CPU_NUM")) > 1:
        build_strategy.reduce_strategy = fluid.BuildStrategy.ReduceStrategy.Reduce
    program = fluid.compiler.CompiledProgram(
        fluid.default_main_program()).with_data_parallel(
            loss_name=loss.name, build_strategy=build_strategy, exec_strategy=exec_strategy)

    for pass_id in range(args.num_passes):
        py_reader.start()
        batch_id = 0
        try:
            while True:
                loss_val, lr_val = exe.run(program, fetch_list=[loss.name, lr.name])
                loss_val = np.mean(loss_val)
                if batch_id % 5 == 0:
                    print("TRAIN --> pass: {} batch: {} loss: {:.6f} lr: {:.5f}".format(
                        pass_id, batch_id, loss_val.mean() / args.batch_size, float(lr_val[0])))
                batch_id += 1
        except fluid.core.EOFException:
            py_reader.reset()
        model_dir = args.model_output_dir + '/pass-' + str(pass_id)
        fluid.io.save_params(executor=exe, dirname=model_dir)
    return model_dir


def infer(args, model_dir):
    """The nearest words to a - b + c."""
    exe = fluid.Executor(fluid.CPUPlace())
    vocab_size, emb_size = args.dict_size, args.embedding_size
    with fluid.scope_guard(fluid.Scope()):
        main_program = fluid.Program()
        with fluid.program_guard(main_program, fluid.Program()):
            analogy = [fluid.layers.data(name="analogy_" + x, shape=[1], dtype='int64') for x in 'abc']
            all_label = fluid.layers.data(
                name="all_label", shape=[vocab_size, 1], dtype='int64', append_batch_size=False)
            emb_all_label = fluid.layers.embedding(
                input=all_label, size=[vocab_size, emb_size], param_attr="emb")
            emb_a, emb_b, emb_c = [
                fluid.layers.embedding(input=x, size=[vocab_size, emb_size], param_attr="emb") for x in analogy]
            target = fluid.layers.elementwise_add(fluid.layers.elementwise_sub(emb_b, emb_a), emb_c)
            emb_all_label_l2 = fluid.layers.l2_normalize(x=emb_all_label, axis=1)
            dist = fluid.layers.matmul(x=target, y=emb_all_label_l2, transpose_y=True)
            values, pred_idx = fluid.layers.topk(input=dist, k=4)
        fluid.io.load_params(executor=exe, dirname=model_dir, main_program=main_program)
        feed = {"analogy_" + x: np.arange(k, k + 3).reshape(3, 1).astype('int64') for k, x in enumerate('abc')}
        feed["all_label"] = np.arange(vocab_size).reshape(vocab_size, 1).astype('int64')
        pred, value = exe.run(main_program, feed=feed, fetch_list=[pred_idx.name, values], return_numpy=False)
        for row, scores in zip(np.array(pred), np.array(value)):
            print(" ".join("%d:%.4f" % pair for pair in zip(row, scores)))


def train():
    args = parse_args()
    if not os.path.isdir(args.model_output_dir):
        os.mkdir(args.model_output_dir)
    os.environ.setdefault("CPU_NUM", "1")
    reader = Word2VecReader(
        args.train_data, args.window_size, args.nce_num, args.dict_size, args.batch_size)
    loss, py_reader = skip_gram_word2vec(
        args.dict_size, args.embedding_size, is_sparse=args.is_sparse, neg_num=args.nce_num)
    lr = fluid.layers.exponential_decay(
        learning_rate=args.base_lr, decay_steps=10, decay_rate=0.9, staircase=True)
    optimizer = fluid.optimizer.SGD(learning_rate=lr)
    optimizer.minimize(loss)
    print("all parameters:", ", ".join(p.name for p in fluid.default_main_program().all_parameters()))
    return args, train_loop(args, reader, py_reader, loss, lr)


if __name__ == '__main__':
    infer(*train())
