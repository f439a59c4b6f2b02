"""N-gram language model: four words of context, the fifth is predicted."""
from __future__ import print_function

import argparse
import math
import sys

import numpy as np

import paddle
import paddle.fluid as fluid

EMBED_SIZE = 8
HIDDEN_SIZE = 16
N = 5
BATCH_SIZE = 20

word_dict = paddle.dataset.imikolov.build_dict()
dict_size = len(word_dict)


def parse_args():
    parser = argparse.ArgumentParser("word2vec")
    parser.add_argument('--use_cuda', action='store_true', help="If set, use a GPU.")
    parser.add_argument('--num_epochs', type=int, default=2, help="number of passes")
    parser.add_argument('--init_model', type=str, default=None, help="folder of parameters to begin with")
    parser.add_argument('--save_dirname', type=str, default='word2vec.inference.model')
    return parser.parse_args()


def inference_program(words, is_sparse):
    embeds = []
    for word in words:
        embeds.append(
            fluid.layers.embedding(
                input=word,
                size=[dict_size, EMBED_SIZE],
                dtype='float32',
                is_sparse=is_sparse,
                param_attr='shared_w'))
    concat_embed = fluid.layers.concat(input=embeds, axis=1)
    hidden1 = fluid.layers.fc(input=concat_embed, size=HIDDEN_SIZE, act='sigmoid')
    predict_word = fluid.layers.fc(input=hidden1, size=dict_size, act='softmax')
    return predict_word


def train_program(predict_word, next_word):
    cost = fluid.layers.cross_entropy(input=predict_word, label=next_word)
    avg_cost = fluid.layers.mean(cost)
    return avg_cost


def optimizer_func():
    return fluid.optimizer.AdagradOptimizer(
        learning_rate=3e-2,
        regularization=fluid.regularizer.L2DecayRegularizer(8e-4))


def train(use_cuda, num_epochs, init_model, save_dirname):
    place = fluid.CUDAPlace(0) if use_cuda else fluid.CPUPlace()

    train_reader = paddle.batch(paddle.dataset.imikolov.train(word_dict, N), BATCH_SIZE)
    test_reader = paddle.batch(paddle.dataset.imikolov.test(word_dict, N), BATCH_SIZE)

    first_word = fluid.layers.data(name='firstw', shape=[1], dtype='int64')
    second_word = fluid.layers.data(name='secondw', shape=[1], dtype='int64')
    third_word = fluid.layers.data(name='thirdw', shape=[1], dtype='int64')
    forth_word = fluid.layers.data(name='fourthw', shape=[1], dtype='int64')
    next_word = fluid.layers.data(name='nextw', shape=[1], dtype='int64')
    word_list = [first_word, second_word, third_word, forth_word, next_word]
    feed_order = ['firstw', 'secondw', 'thirdw', 'fourthw', 'nextw']

    main_program = fluid.default_main_program()
    startup_program = fluid.default_startup_program()

    predict_word = inference_program(word_list[:-1], is_sparse=True)
    avg_cost = train_program(predict_word, word_list[-1])
    test_program = main_program.clone(for_test=True)

    sgd_optimizer = optimizer_func()
    sgd_optimizer.minimize(avg_cost)

    exe = fluid.Executor(place)

    def train_test(program, reader):
        count = 0
        feed_var_list = [program.global_block().var(var_name) for var_name in feed_order]
        feeder_test = fluid.DataFeeder(feed_list=feed_var_list, place=place)
        test_exe = fluid.Executor(place)
        accumulated = len([avg_cost]) * [0]
        for test_data in reader():
            avg_cost_np = test_exe.run(
                program=program, feed=feeder_test.feed(test_data), fetch_list=[avg_cost])
            accumulated = [x[0] + x[1][0] for x in zip(accumulated, avg_cost_np)]
            count += 1
        return [x / count for x in accumulated]

    def train_loop():
        step = 0
        feed_var_list_loop = [main_program.global_block().var(var_name) for var_name in feed_order]
        feeder = fluid.DataFeeder(feed_list=feed_var_list_loop, place=place)
        exe.run(startup_program)
        if init_model is not None:
            fluid.io.load_params(exe, init_model, main_program=main_program)
        for pass_id in range(num_epochs):
            for data in train_reader():
                avg_cost_np = exe.run(
                    main_program, feed=feeder.feed(data), fetch_list=[avg_cost])
                if step % 10 == 0:
                    outs = train_test(test_program, test_reader)
                    print("Step %d: Average Cost %f" % (step, outs[0]))
                    # a cost that is low enough ends the training
                    if outs[0] < 1.0:
                        if save_dirname is not None:
                            fluid.io.save_inference_model(
                                save_dirname, ['firstw', 'secondw', 'thirdw', 'fourthw'],
                                [predict_word], exe)
                        return
                step += 1
                if math.isnan(float(avg_cost_np[0])):
                    sys.exit("got NaN loss, training failed.")
            print("Pass %d, cost %s" % (pass_id, avg_cost_np[0]))
        fluid.io.save_inference_model(
            save_dirname, ['firstw', 'secondw', 'thirdw', 'fourthw'], [predict_word], exe)

    train_loop()


def infer(use_cuda, save_dirname=None):
    place = fluid.CUDAPlace(0) if use_cuda else fluid.CPUPlace()
    exe = fluid.Executor(place)

    inference_scope = fluid.core.Scope()
    with fluid.scope_guard(inference_scope):
        [inferencer, feed_target_names,
         fetch_targets] = fluid.io.load_inference_model(save_dirname, exe)

        data1 = [[np.int64(2)]]
        data2 = [[np.int64(0)]]
        data3 = [[np.int64(3)]]
        data4 = [[np.int64(1)]]
        lod = [[1]]
        first_word = fluid.create_lod_tensor(data1, lod, place)
        second_word = fluid.create_lod_tensor(data2, lod, place)
        third_word = fluid.create_lod_tensor(data3, lod, place)
        fourth_word = fluid.create_lod_tensor(data4, lod, place)

        assert feed_target_names[0] == 'firstw'
        assert feed_target_names[1] == 'secondw'
        assert feed_target_names[2] == 'thirdw'
        assert feed_target_names[3] == 'fourthw'

        results = exe.run(
            inferencer,
            feed={
                feed_target_names[0]: first_word,
                feed_target_names[1]: second_word,
                feed_target_names[2]: third_word,
                feed_target_names[3]: fourth_word
            },
            fetch_list=fetch_targets,
            return_numpy=False)

        print(np.array(results[0]))
        most_possible_word_index = np.argmax(results[0])
        print(most_possible_word_index)
        word = [key for key, value in word_dict.items() if value == most_possible_word_index][0]
        print(word.decode() if isinstance(word, bytes) else word)
        print(results[0].recursive_sequence_lengths())


def main(args):
    if args.use_cuda and not fluid.core.is_compiled_with_cuda():
        return
    train(args.use_cuda, args.num_epochs, args.init_model, args.save_dirname)
    infer(args.use_cuda, args.save_dirname)


if __name__ == '__main__':
    main(parse_args())
