"""Deep interest network: attention over what a user bought before."""
import argparse
import logging
import os
import random

import numpy as np
import paddle
import paddle.fluid as fluid

logging.basicConfig(format='%(asctime)s - %(levelname)s - %(message)s')
logger = logging.getLogger("fluid")
logger.setLevel(logging.INFO)


def parse_args():
    parser = argparse.ArgumentParser("din")
    parser.add_argument("--train_dir", type=str, default="data/train.txt", help="path of the training data")
    parser.add_argument("--item_count", type=int, default=40)
    parser.add_argument("--cat_count", type=int, default=9)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--base_lr", type=float, default=0.85)
    parser.add_argument("--epoch_num", type=int, default=2)
    parser.add_argument("--use_cuda", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--init_model", type=str, default=None)
    parser.add_argument("--model_dir", type=str, default="din_model")
    args = parser.parse_args()
    return args


class DataReader(object):
    def __init__(self, path, batch_size):
        with open(path) as fin:
            self.res = [[[int(i) for i in part.split()] for part in line.strip().split(";")] for line in fin]
        random.seed(12)
        random.shuffle(self.res)
        self.batch_size = batch_size
        self.max_len = max(len(line[0]) for line in self.res)

    def pad_batch_data(self, batch, max_len):
        def pad(seq):
            return seq + [0] * (max_len - len(seq))

        out = []
        for hist, cate, (target,), (target_cate,), (label,) in batch:
            mask = [0.0] * len(hist) + [-2**30 * 1.0] * (max_len - len(hist))
            out.append((
                np.array(pad(hist), dtype=np.int64),
                np.array(pad(cate), dtype=np.int64),
                np.int64(target),
                np.int64(target_cate),
                np.array([label], dtype=np.float32),
                np.array(mask, dtype=np.float32).reshape(-1, 1),
                np.array([target] * max_len, dtype=np.int64),
                np.array([target_cate] * max_len, dtype=np.int64), ))
        return out

    def prepare_reader(self, drop_last=False):
        def batch_reader():
            for begin in range(0, len(self.res), self.batch_size):
                batch = self.res[begin:begin + self.batch_size]
                if drop_last and len(batch) < self.batch_size:
                    return
                yield self.pad_batch_data(batch, max(len(line[0]) for line in batch))

        return batch_reader


def din_attention(hist, target_expand, mask):
    """activation weight"""
    hidden_size = hist.shape[-1]
    concat = fluid.layers.concat([hist, target_expand, hist - target_expand, hist * target_expand], axis=2)
    atten_fc1 = fluid.layers.fc(name="atten_fc1", input=concat, size=20, act="sigmoid", num_flatten_dims=2)
    atten_fc2 = fluid.layers.fc(name="atten_fc2", input=atten_fc1, size=10, act="sigmoid", num_flatten_dims=2)
    atten_fc3 = fluid.layers.fc(name="atten_fc3", input=atten_fc2, size=1, num_flatten_dims=2)
    atten_fc3 += mask
    atten_fc3 = fluid.layers.transpose(x=atten_fc3, perm=[0, 2, 1])
    atten_fc3 = fluid.layers.scale(x=atten_fc3, scale=hidden_size**-0.5)
    weight = fluid.layers.softmax(atten_fc3)
    out = fluid.layers.matmul(weight, hist)
    out = fluid.layers.reshape(x=out, shape=[0, hidden_size])
    return out


def network(item_count, cat_count):
    item_emb_size = 8
    cat_emb_size = 8
    is_sparse = True

    item_emb_attr = fluid.ParamAttr(name="item_emb")
    cat_emb_attr = fluid.ParamAttr(name="cat_emb")

    hist_item_seq = fluid.data(name="hist_item_seq", shape=[None, None], dtype="int64")
    hist_cat_seq = fluid.data(name="hist_cat_seq", shape=[None, None], dtype="int64")
    target_item = fluid.data(name="target_item", shape=[None], dtype="int64")
    target_cat = fluid.data(name="target_cat", shape=[None], dtype="int64")
    label = fluid.data(name="label", shape=[None, 1], dtype="float32")
    mask = fluid.data(name="mask", shape=[None, None, 1], dtype="float32")
    target_item_seq = fluid.data(name="target_item_seq", shape=[None, None], dtype="int64")
    target_cat_seq = fluid.data(name="target_cat_seq", shape=[None, None], dtype="int64")

    hist_item_emb = fluid.embedding(
        input=hist_item_seq, size=[item_count, item_emb_size], param_attr=item_emb_attr, is_sparse=is_sparse)
    hist_cat_emb = fluid.embedding(
        input=hist_cat_seq, size=[cat_count, cat_emb_size], param_attr=cat_emb_attr, is_sparse=is_sparse)
    target_item_emb = fluid.embedding(
        input=target_item, size=[item_count, item_emb_size], param_attr=item_emb_attr, is_sparse=is_sparse)
    target_cat_emb = fluid.embedding(
        input=target_cat, size=[cat_count, cat_emb_size], param_attr=cat_emb_attr, is_sparse=is_sparse)
    target_item_seq_emb = fluid.embedding(
        input=target_item_seq, size=[item_count, item_emb_size], param_attr=item_emb_attr, is_sparse=is_sparse)
    target_cat_seq_emb = fluid.embedding(
        input=target_cat_seq, size=[cat_count, cat_emb_size], param_attr=cat_emb_attr, is_sparse=is_sparse)
    item_b = fluid.embedding(
        input=target_item, size=[item_count, 1],
        param_attr=fluid.ParamAttr(initializer=fluid.initializer.Constant(value=0.0)), is_sparse=is_sparse)

    hist_seq_concat = fluid.layers.concat([hist_item_emb, hist_cat_emb], axis=2)
    target_seq_concat = fluid.layers.concat([target_item_seq_emb, target_cat_seq_emb], axis=2)
    target_concat = fluid.layers.concat([target_item_emb, target_cat_emb], axis=1)

    out = din_attention(hist_seq_concat, target_seq_concat, mask)
    out_fc = fluid.layers.fc(name="out_fc", input=out, size=item_emb_size + cat_emb_size, num_flatten_dims=1)
    embedding_concat = fluid.layers.concat([out_fc, target_concat], axis=1)

    # the same attention again, with shapes that are known while the program runs only
    hist_shape = fluid.layers.shape(hist_seq_concat)
    max_len = fluid.layers.slice(hist_shape, axes=[0], starts=[1], ends=[2])
    one = fluid.layers.fill_constant(shape=[1], dtype='int32', value=1)
    times = fluid.layers.concat([one, max_len, one])
    tiled = fluid.layers.expand(fluid.layers.unsqueeze(target_concat, axes=[1]), expand_times=times)
    tiled.stop_gradient = True
    difference = fluid.layers.reduce_sum(
        fluid.layers.abs(fluid.layers.elementwise_sub(tiled, target_seq_concat)))

    fc1 = fluid.layers.fc(name="fc1", input=embedding_concat, size=20, act="sigmoid")
    fc2 = fluid.layers.fc(name="fc2", input=fc1, size=10, act="sigmoid")
    fc3 = fluid.layers.fc(name="fc3", input=fc2, size=1)
    logit = fc3 + item_b

    loss = fluid.layers.sigmoid_cross_entropy_with_logits(x=logit, label=label)
    avg_loss = fluid.layers.mean(loss)
    inputs = [hist_item_seq, hist_cat_seq, target_item, target_cat, label, mask, target_item_seq, target_cat_seq]
    return avg_loss, fluid.layers.sigmoid(logit), difference, inputs


def train():
    args = parse_args()
    data_reader = DataReader(args.train_dir, args.batch_size)
    logger.info("reading data completes")

    avg_loss, pred, difference, feed_list = network(args.item_count, args.cat_count)
    loader = fluid.io.DataLoader.from_generator(
        feed_list=feed_list, capacity=10000, iterable=True)

    fluid.clip.set_gradient_clip(clip=fluid.clip.GradientClipByGlobalNorm(clip_norm=5.0))
    base_lr = args.base_lr
    boundaries = [6, 9]
    values = [base_lr, 0.2, 0.1]
    sgd_optimizer = fluid.optimizer.SGD(
        learning_rate=fluid.layers.piecewise_decay(boundaries=boundaries, values=values))
    sgd_optimizer.minimize(avg_loss)

    place = fluid.CUDAPlace(0) if args.use_cuda else fluid.CPUPlace()
    exe = fluid.Executor(place)
    exe.run(fluid.default_startup_program())
    if args.init_model:
        fluid.io.load_params(exe, args.init_model, fluid.default_main_program(), filename="params")

    if args.parallel:
        train_program = fluid.compiler.CompiledProgram(
            fluid.default_main_program()).with_data_parallel(loss_name=avg_loss.name)
    else:
        train_program = fluid.default_main_program()
    loader.set_sample_list_generator(
        data_reader.prepare_reader(),
        places=fluid.cuda_places() if args.use_cuda else fluid.cpu_places(1))

    learning_rate = sgd_optimizer._global_learning_rate()
    PRINT_STEP = 2
    global_step = 0
    loss_sum = 0.0
    for epoch in range(args.epoch_num):
        for data in loader():
            global_step += 1
            results = exe.run(train_program, feed=data,
                              fetch_list=[avg_loss.name, pred.name, learning_rate.name, difference.name],
                              return_numpy=True)
            loss_sum += results[0].mean()
            if global_step % PRINT_STEP == 0:
                print("epoch: %d\tglobal_step: %d\ttrain_loss: %.6f\tlr: %.3f\tdifference: %.1f" %
                      (epoch, global_step, loss_sum / PRINT_STEP, results[2][0], results[3].sum()))
                loss_sum = 0.0
        print("epoch %d, mean score %.5f" % (epoch, results[1].mean()))

    save_dir = os.path.join(args.model_dir, "global_step_" + str(global_step))
    feed_var_name = ["hist_item_seq", "hist_cat_seq", "target_item", "target_cat", "label", "mask",
                     "target_item_seq", "target_cat_seq"]
    fetch_vars = [avg_loss, pred]
    fluid.io.save_inference_model(save_dir, feed_var_name, fetch_vars, exe)

    scope = fluid.Scope()
    with fluid.scope_guard(scope):
        program, names, targets = fluid.io.load_inference_model(save_dir, exe)
        batch = next(data_reader.prepare_reader()())
        feeder = fluid.DataFeeder(feed_list=names, place=place, program=program)
        res = exe.run(program, feed=feeder.feed(batch), fetch_list=targets)
        print("infer loss: %.6f" % res[0][0])
        print("infer scores: ", " ".join("%.5f" % x for x in res[1][:, 0]))


if __name__ == "__main__":
    train()
