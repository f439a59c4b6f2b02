"""A small transformer encoder that classifies sentences: two programs, two readers, a schedule of its own."""
from __future__ import absolute_import, division, print_function

import argparse
import multiprocessing
import os

import numpy as np

import paddle.fluid as fluid


def parse_args():
    parser = argparse.ArgumentParser(__doc__)
    parser.add_argument("--vocab_size", type=int, default=41)
    parser.add_argument("--max_seq_len", type=int, default=8)
    parser.add_argument("--num_labels", type=int, default=3)
    parser.add_argument("--hidden_size", type=int, default=8)
    parser.add_argument("--n_head", type=int, default=2)
    parser.add_argument("--epoch", type=int, default=2)
    parser.add_argument("--batch_size", type=int, default=6)
    parser.add_argument("--learning_rate", type=float, default=0.05)
    parser.add_argument("--weight_decay", type=float, default=0.01)
    parser.add_argument("--warmup_proportion", type=float, default=0.2)
    parser.add_argument("--init_pretraining_params", type=str, default=None)
    parser.add_argument("--checkpoints", type=str, default="checkpoints")
    parser.add_argument("--data_dir", type=str, default=".")
    parser.add_argument("--use_cuda", type=bool, default=False)
    return parser.parse_args()


def linear_warmup_decay(learning_rate, warmup_steps, num_train_steps):
    """ Applies linear warmup of learning rate from 0 and decay to 0."""
    with fluid.default_main_program()._lr_schedule_guard():
        lr = fluid.layers.tensor.create_global_var(
            shape=[1], value=0.0, dtype='float32', persistable=True, name="scheduled_learning_rate")
        global_step = fluid.layers.learning_rate_scheduler._decay_step_counter()
        with fluid.layers.control_flow.Switch() as switch:
            with switch.case(global_step < warmup_steps):
                warmup_lr = learning_rate * (global_step / warmup_steps)
                fluid.layers.tensor.assign(warmup_lr, lr)
            with switch.default():
                decayed_lr = fluid.layers.learning_rate_scheduler.polynomial_decay(
                    learning_rate=learning_rate,
                    decay_steps=num_train_steps,
                    end_learning_rate=0.0,
                    power=1.0,
                    cycle=False)
                fluid.layers.tensor.assign(decayed_lr, lr)
        return lr


def optimization(loss, warmup_steps, num_train_steps, learning_rate, train_program, weight_decay):
    scheduled_lr = linear_warmup_decay(learning_rate, warmup_steps, num_train_steps)
    optimizer = fluid.optimizer.Adam(learning_rate=scheduled_lr)
    fluid.clip.set_gradient_clip(clip=fluid.clip.GradientClipByGlobalNorm(clip_norm=1.0))

    def exclude_from_weight_decay(param):
        name = param.name
        if name.find("layer_norm") > -1:
            return True
        return any(name.endswith(suffix) for suffix in ["_bias", "_b", ".b_0"])

    param_list = dict()
    for param in train_program.global_block().all_parameters():
        param_list[param.name] = param * 1.0
        param_list[param.name].stop_gradient = True

    _, param_grads = optimizer.minimize(loss)

    if weight_decay > 0:
        for param, grad in param_grads:
            if exclude_from_weight_decay(param):
                continue
            with param.block.program._optimized_guard([param, grad]), fluid.framework.name_scope("weight_decay"):
                updated_param = param - param_list[param.name] * weight_decay * scheduled_lr
                fluid.layers.assign(output=param, input=updated_param)
    return scheduled_lr


def create_model(args, pyreader_name):
    pyreader = fluid.layers.py_reader(
        capacity=50,
        shapes=[[-1, args.max_seq_len, 1], [-1, args.max_seq_len, 1], [-1, args.max_seq_len, 1], [-1, 1]],
        dtypes=['int64', 'int64', 'float32', 'int64'],
        lod_levels=[0, 0, 0, 0],
        name=pyreader_name,
        use_double_buffer=True)
    src_ids, pos_ids, input_mask, labels = fluid.layers.read_file(pyreader)
    d_model, d_key = args.hidden_size, args.hidden_size // args.n_head
    initializer = fluid.initializer.TruncatedNormal(scale=0.02)

    def fc(x, size, name, act=None):
        return fluid.layers.fc(
            input=x, size=size, num_flatten_dims=2, act=act,
            param_attr=fluid.ParamAttr(name=name + '.w_0', initializer=initializer), bias_attr=name + '.b_0')

    def layer_norm(x, name):
        return fluid.layers.layer_norm(
            x,
            begin_norm_axis=len(x.shape) - 1,
            param_attr=fluid.ParamAttr(
                name=name + '_layer_norm_scale', initializer=fluid.initializer.Constant(1.)),
            bias_attr=fluid.ParamAttr(
                name=name + '_layer_norm_bias', initializer=fluid.initializer.Constant(0.)))

    def split_heads(x):
        reshaped = fluid.layers.reshape(x=x, shape=[0, 0, args.n_head, d_key], inplace=True)
        return fluid.layers.transpose(x=reshaped, perm=[0, 2, 1, 3])

    emb_out = fluid.layers.embedding(
        input=src_ids, size=[args.vocab_size, d_model], dtype='float32',
        param_attr=fluid.ParamAttr(name='word_embedding', initializer=initializer), is_sparse=False)
    position_emb_out = fluid.layers.embedding(
        input=pos_ids, size=[args.max_seq_len, d_model],
        param_attr=fluid.ParamAttr(name='pos_embedding', initializer=initializer))
    emb_out = layer_norm(emb_out + position_emb_out, 'pre_encoder')
    emb_out = fluid.layers.dropout(
        emb_out, dropout_prob=0.0, dropout_implementation="upscale_in_train", is_test=False)

    self_attn_mask = fluid.layers.matmul(x=input_mask, y=input_mask, transpose_y=True)
    self_attn_mask = fluid.layers.scale(x=self_attn_mask, scale=10000.0, bias=-1.0, bias_after_scale=False)
    n_head_self_attn_mask = fluid.layers.stack(x=[self_attn_mask] * args.n_head, axis=1)
    n_head_self_attn_mask.stop_gradient = True

    q, k, v = [split_heads(fc(emb_out, d_model, name)) for name in ('query_fc', 'key_fc', 'value_fc')]
    product = fluid.layers.matmul(x=fluid.layers.scale(x=q, scale=d_key**-0.5), y=k, transpose_y=True)
    product += n_head_self_attn_mask
    weights = fluid.layers.softmax(product)
    out = fluid.layers.transpose(fluid.layers.matmul(weights, v), perm=[0, 2, 1, 3])
    out = fluid.layers.reshape(x=out, shape=[0, 0, out.shape[2] * out.shape[3]], inplace=True)
    attn = layer_norm(fc(out, d_model, 'output_fc') + emb_out, 'post_att')
    enc_out = layer_norm(fc(fc(attn, 4 * d_model, 'ffn_fc_0', act='relu'), d_model, 'ffn_fc_1') + attn, 'post_ffn')

    next_sent_feat = fluid.layers.slice(input=enc_out, axes=[1], starts=[0], ends=[1])
    next_sent_feat = fluid.layers.fc(
        input=next_sent_feat, size=d_model, act="tanh",
        param_attr=fluid.ParamAttr(name="pooled_fc.w_0", initializer=initializer), bias_attr="pooled_fc.b_0")
    logits = fluid.layers.fc(
        input=next_sent_feat, size=args.num_labels,
        param_attr=fluid.ParamAttr(name="cls_out_w", initializer=initializer),
        bias_attr=fluid.ParamAttr(name="cls_out_b", initializer=fluid.initializer.Constant(0.)))
    ce_loss, probs = fluid.layers.softmax_with_cross_entropy(logits=logits, label=labels, return_softmax=True)
    loss = fluid.layers.mean(x=ce_loss)
    num_seqs = fluid.layers.create_tensor(dtype='int64')
    accuracy = fluid.layers.accuracy(input=probs, label=labels, total=num_seqs)
    return pyreader, loss, probs, accuracy, num_seqs


def data_generator(args, filename):
    def examples():
        with open(os.path.join(args.data_dir, filename)) as fin:
            for line in fin:
                ids = [int(x) for x in line.split()][:args.max_seq_len]
                yield ids, ids[-1] * args.num_labels // args.vocab_size

    def pad(batch):
        n = args.max_seq_len
        src = np.array([ids + [0] * (n - len(ids)) for ids, _ in batch]).astype("int64").reshape([-1, n, 1])
        pos = np.array([list(range(len(ids))) + [0] * (n - len(ids)) for ids, _ in batch])
        mask = np.array([[1] * len(ids) + [0] * (n - len(ids)) for ids, _ in batch])
        labels = np.array([label for _, label in batch]).astype("int64").reshape([-1, 1])
        return [src, pos.astype("int64").reshape([-1, n, 1]), mask.astype("float32").reshape([-1, n, 1]), labels]

    def wrapper():
        batch = []
        for example in examples():
            batch.append(example)
            if len(batch) == args.batch_size:
                yield pad(batch)
                batch = []
        if batch:
            yield pad(batch)

    return wrapper


def evaluate(exe, test_program, test_pyreader, fetch_list, eval_phase):
    test_pyreader.start()
    total_cost, total_acc, total_num_seqs = [], [], []
    while True:
        try:
            np_loss, np_acc, np_num_seqs = exe.run(program=test_program, fetch_list=fetch_list)
            total_cost.extend(np_loss * np_num_seqs)
            total_acc.extend(np_acc * np_num_seqs)
            total_num_seqs.extend(np_num_seqs)
        except fluid.core.EOFException:
            test_pyreader.reset()
            break
    print("[%s evaluation] ave loss: %f, ave acc: %f" % (
        eval_phase, np.sum(total_cost) / np.sum(total_num_seqs), np.sum(total_acc) / np.sum(total_num_seqs)))


def main(args):
    if args.use_cuda:
        place = fluid.CUDAPlace(int(os.getenv('FLAGS_selected_gpus', '0')))
        dev_count = fluid.core.get_cuda_device_count()
    else:
        place = fluid.CPUPlace()
        dev_count = int(os.environ.get('CPU_NUM', multiprocessing.cpu_count()))
    exe = fluid.Executor(place)

    startup_prog = fluid.Program()
    startup_prog.random_seed = 1
    num_train_steps = args.epoch * 7 // dev_count
    warmup_steps = int(num_train_steps * args.warmup_proportion)
    print("Max train steps: %d, warmup steps: %d" % (num_train_steps, warmup_steps))

    train_program = fluid.Program()
    with fluid.program_guard(train_program, startup_prog):
        with fluid.unique_name.guard():
            train_pyreader, loss, probs, accuracy, num_seqs = create_model(args, 'train_reader')
            scheduled_lr = optimization(
                loss, warmup_steps, num_train_steps, args.learning_rate, train_program, args.weight_decay)
    lower_mem, upper_mem, unit = fluid.contrib.memory_usage(program=train_program, batch_size=args.batch_size)
    assert 0 < lower_mem <= upper_mem and unit in ('B', 'KB', 'MB')

    test_prog = fluid.Program()
    with fluid.program_guard(test_prog, startup_prog):
        with fluid.unique_name.guard():
            test_pyreader, test_loss, test_probs, test_accuracy, test_num_seqs = create_model(args, 'test_reader')
    test_prog = test_prog.clone(for_test=True)

    exe.run(startup_prog)
    if args.init_pretraining_params:
        def existed_params(var):
            if not isinstance(var, fluid.framework.Parameter):
                return False
            return os.path.exists(os.path.join(args.init_pretraining_params, var.name))

        fluid.io.load_vars(
            exe, args.init_pretraining_params, main_program=startup_prog, predicate=existed_params)
        print("Load pretraining parameters from {}.".format(args.init_pretraining_params))

    train_pyreader.decorate_tensor_provider(data_generator(args, "sessions.txt"))
    test_pyreader.decorate_tensor_provider(data_generator(args, "sessions_test.txt"))

    steps = 0
    for epoch in range(args.epoch):
        train_pyreader.start()
        while True:
            try:
                steps += 1
                if steps % 2 == 0:
                    np_loss, np_acc, np_num_seqs, np_lr = exe.run(
                        train_program, fetch_list=[loss.name, accuracy.name, num_seqs.name, scheduled_lr.name])
                    print("epoch: %d, step: %d, ave loss: %f, ave acc: %f, sequences: %d, learning rate: %f" % (
                        epoch, steps, np.mean(np_loss), np.mean(np_acc), np_num_seqs, np_lr))
                else:
                    exe.run(train_program, fetch_list=[])
            except fluid.core.EOFException:
                steps -= 1
                save_path = os.path.join(args.checkpoints, "step_" + str(steps))
                fluid.io.save_persistables(exe, save_path, train_program)
                train_pyreader.reset()
                break
        evaluate(exe, test_prog, test_pyreader, [test_loss.name, test_accuracy.name, test_num_seqs.name], "test")
    print(" ".join(sorted(name for name in os.listdir(save_path) if "fc" in name and "moment" not in name)))


if __name__ == '__main__':
    main(parse_args())
