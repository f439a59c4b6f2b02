"""Models as published programs write them: one of each kind that people still run. The word model is in `programs`."""

import numpy

from .case import Run, case, integers, state, steps, uniform, variants

USERS, MOVIES, WORDS, D, N = 13, 17, 19, 5, 4


def lens(key, count, longest, shortest=1):
    """Lengths of sequences; a published program's are never empty unless `shortest` says so."""
    return [int(n) for n in integers("lens/" + key, longest + 1, count, low=shortest)]


def sequences(key, high, longest, shortest=1, count=N):
    """A batch of sequences of ids: (array, lengths)."""
    lengths = lens(key, count, longest, shortest)
    return integers(key, high, sum(lengths), 1), [lengths]


# ------------------------------------------------------------------------------------------------------- fit a line


@case
def fit_a_line(fluid):
    x = fluid.data(name="x", shape=[None, 13], dtype="float32")
    y = fluid.data(name="y", shape=[None, 1], dtype="float32")
    y_predict = fluid.layers.fc(input=x, size=1, act=None)
    cost = fluid.layers.square_error_cost(input=y_predict, label=y)
    avg_loss = fluid.layers.mean(cost)
    test_program = fluid.default_main_program().clone(for_test=True)
    fluid.optimizer.SGD(learning_rate=0.01).minimize(avg_loss)

    def feed(step):
        return {"x": uniform("line_x" + step, 7, 13), "y": uniform("line_y" + step, 7, 1)}

    return Run(steps(5, feed), [avg_loss, y_predict], state(fluid), programs={"test": test_program})


# ------------------------------------------------------------------------------------------------------- recommender


def user_features(fluid, is_sparse):
    layers = fluid.layers
    uid = fluid.data(name="user_id", shape=[None], dtype="int64")
    emb = fluid.embedding(input=uid, size=[USERS, 8], param_attr="user_table", is_sparse=is_sparse)
    parts = [layers.fc(input=emb, size=8)]
    for name, size, table in (
        ("gender_id", 2, "gender_table"),
        ("age_id", 7, "age_table"),
        ("job_id", 11, "job_table"),
    ):
        ids = fluid.data(name=name, shape=[None], dtype="int64")
        emb = fluid.embedding(input=ids, size=[size, 4], param_attr=table, is_sparse=is_sparse)
        parts.append(layers.fc(input=emb, size=4))
    return layers.fc(input=layers.concat(input=parts, axis=1), size=10, act="tanh")


def movie_features(fluid, is_sparse):
    layers = fluid.layers
    mov_id = fluid.data(name="movie_id", shape=[None], dtype="int64")
    emb = fluid.embedding(input=mov_id, size=[MOVIES, 8], param_attr="movie_table", is_sparse=is_sparse)
    mov_fc = layers.fc(input=emb, size=8)
    category_id = fluid.data(name="category_id", shape=[None], dtype="int64", lod_level=1)
    category_emb = fluid.embedding(input=category_id, size=[6, 8], is_sparse=is_sparse)
    category_hidden = layers.sequence_pool(input=category_emb, pool_type="sum")
    title_id = fluid.data(name="movie_title", shape=[None], dtype="int64", lod_level=1)
    title_emb = fluid.embedding(input=title_id, size=[WORDS, 8], is_sparse=is_sparse)
    title_conv = fluid.nets.sequence_conv_pool(
        input=title_emb, num_filters=8, filter_size=3, act="tanh", pool_type="sum"
    )
    concat_embed = layers.concat(input=[mov_fc, category_hidden, title_conv], axis=1)
    return layers.fc(input=concat_embed, size=10, act="tanh")


@variants(sparse={"is_sparse": True}, dense={"is_sparse": False})
def recommender(fluid, is_sparse):
    usr = user_features(fluid, is_sparse)
    mov = movie_features(fluid, is_sparse)
    inference = fluid.layers.cos_sim(X=usr, Y=mov)
    scale_infer = fluid.layers.scale(x=inference, scale=5.0)
    label = fluid.data(name="score", shape=[None, 1], dtype="float32")
    square_cost = fluid.layers.square_error_cost(input=scale_infer, label=label)
    avg_cost = fluid.layers.mean(square_cost)
    test_program = fluid.default_main_program().clone(for_test=True)
    fluid.optimizer.SGD(learning_rate=0.2).minimize(avg_cost)

    def feed(step):
        category, category_lens = sequences("category" + step, 6, 3)
        title, title_lens = sequences("title" + step, WORDS, 5)
        return {
            "user_id": integers("user" + step, USERS, N),
            "gender_id": integers("gender" + step, 2, N),
            "age_id": integers("age" + step, 7, N),
            "job_id": integers("job" + step, 11, N),
            "movie_id": integers("movie" + step, MOVIES, N),
            "category_id": (category[:, 0], category_lens),
            "movie_title": (title[:, 0], title_lens),
            "score": uniform("score" + step, N, 1, low=1.0, high=5.0).round(),
        }

    last = ["user_table", "movie_table", "embedding_5.w_0", "embedding_6.w_0", "sequence_conv_0.w_0"]
    last += [] if is_sparse else ["embedding_6.w_0@GRAD", "user_table@GRAD"]
    last += ["sequence_conv_0.w_0@GRAD", "sequence_conv_0.b_0@GRAD"]
    return Run(steps(3, feed), [avg_cost, scale_infer], last, programs={"test": test_program})


# ---------------------------------------------------------------------------------------------------- text sentiment


@case
def sentiment_conv(fluid):
    data = fluid.data(name="words", shape=[None, 1], dtype="int64", lod_level=1)
    label = fluid.data(name="label", shape=[None, 1], dtype="int64")
    emb = fluid.embedding(input=data, size=[WORDS, D], is_sparse=True)
    emb = fluid.layers.reshape(emb, [-1, D]) if len(emb.shape) == 3 else emb
    conv_3 = fluid.nets.sequence_conv_pool(input=emb, num_filters=6, filter_size=3, act="tanh", pool_type="sqrt")
    conv_4 = fluid.nets.sequence_conv_pool(input=emb, num_filters=6, filter_size=4, act="tanh", pool_type="sqrt")
    prediction = fluid.layers.fc(input=[conv_3, conv_4], size=2, act="softmax")
    cost = fluid.layers.cross_entropy(input=prediction, label=label)
    avg_cost = fluid.layers.mean(cost)
    accuracy = fluid.layers.accuracy(input=prediction, label=label)
    fluid.optimizer.Adagrad(learning_rate=0.02).minimize(avg_cost)

    def feed(step):
        return {"words": sequences("conv_words" + step, WORDS, 9), "label": integers("conv_label" + step, 2, N, 1)}

    return Run(steps(4, feed), [avg_cost, accuracy, prediction], state(fluid))


@case
def sentiment_conv_v1(fluid):
    """As written before 1.6: `layers.data` and `layers.embedding`."""
    data = fluid.layers.data(name="words", shape=[1], dtype="int64", lod_level=1)
    label = fluid.layers.data(name="label", shape=[1], dtype="int64")
    emb = fluid.layers.embedding(input=data, size=[WORDS, D], is_sparse=True)
    conv_3 = fluid.nets.sequence_conv_pool(input=emb, num_filters=6, filter_size=3, act="tanh", pool_type="sqrt")
    conv_4 = fluid.nets.sequence_conv_pool(input=emb, num_filters=6, filter_size=4, act="tanh", pool_type="sqrt")
    prediction = fluid.layers.fc(input=[conv_3, conv_4], size=2, act="softmax")
    avg_cost = fluid.layers.mean(fluid.layers.cross_entropy(input=prediction, label=label))
    accuracy = fluid.layers.accuracy(input=prediction, label=label)
    fluid.optimizer.Adagrad(learning_rate=0.02).minimize(avg_cost)

    def feed(step):
        return {"words": sequences("conv_words" + step, WORDS, 9), "label": integers("conv_label" + step, 2, N, 1)}

    return Run(steps(4, feed), [avg_cost, accuracy, prediction], state(fluid))


# ------------------------------------------------------------------------------------------------------------ DeepFM


@variants(sparse={"is_sparse": True}, dense={"is_sparse": False})
def deepfm(fluid, is_sparse):
    """First- and second-order terms and a deep part over 39 fields."""
    layers, fields, features, width, reg = fluid.layers, 39, 101, 4, 1e-4
    init = 0.1

    def attr():
        return fluid.ParamAttr(
            initializer=fluid.initializer.TruncatedNormalInitializer(loc=0.0, scale=init / numpy.sqrt(features)),
            regularizer=fluid.regularizer.L1DecayRegularizer(reg),
        )

    raw_feat_idx = fluid.data(name="feat_idx", shape=[None, fields], dtype="int64")
    raw_feat_value = fluid.data(name="feat_value", shape=[None, fields], dtype="float32")
    label = fluid.data(name="label", shape=[None, 1], dtype="float32")
    feat_idx = layers.reshape(raw_feat_idx, [-1, 1])
    feat_value = layers.reshape(raw_feat_value, [-1, fields, 1])

    first_weights_re = fluid.embedding(
        input=feat_idx, is_sparse=is_sparse, dtype="float32", size=[features + 1, 1], padding_idx=0, param_attr=attr()
    )
    first_weights = layers.reshape(first_weights_re, shape=[-1, fields, 1])
    y_first_order = layers.reduce_sum(first_weights * feat_value, 1)

    embeddings_re = fluid.embedding(
        input=feat_idx,
        is_sparse=is_sparse,
        dtype="float32",
        size=[features + 1, width],
        padding_idx=0,
        param_attr=fluid.ParamAttr(
            name="factors",
            initializer=fluid.initializer.TruncatedNormalInitializer(loc=0.0, scale=init / numpy.sqrt(float(width))),
        ),
    )
    embeddings = layers.reshape(embeddings_re, shape=[-1, fields, width])
    embeddings = embeddings * feat_value
    summed_features_emb = layers.reduce_sum(embeddings, 1)
    summed_features_emb_square = layers.square(summed_features_emb)
    squared_sum_features_emb = layers.reduce_sum(layers.square(embeddings), 1)
    y_second_order = 0.5 * layers.reduce_sum(summed_features_emb_square - squared_sum_features_emb, 1, keep_dim=True)

    y_dnn = layers.reshape(embeddings, [-1, fields * width])
    for s in (8, 6):
        y_dnn = layers.fc(
            input=y_dnn,
            size=s,
            act="relu",
            param_attr=fluid.ParamAttr(
                initializer=fluid.initializer.TruncatedNormalInitializer(loc=0.0, scale=init / numpy.sqrt(float(10)))
            ),
            bias_attr=fluid.ParamAttr(initializer=fluid.initializer.TruncatedNormalInitializer(loc=0.0, scale=init)),
        )
    y_dnn = layers.fc(input=y_dnn, size=1, act=None)

    predict = layers.sigmoid(y_first_order + y_second_order + y_dnn)
    cost = layers.log_loss(input=predict, label=label)
    avg_cost = layers.reduce_sum(cost)
    predict_2d = layers.concat([1 - predict, predict], 1)
    label_int = layers.cast(label, "int64")
    auc_var, batch_auc_var, _ = layers.auc(input=predict_2d, label=label_int, slide_steps=0)
    optimizer = fluid.optimizer.SGD(0.01, regularization=fluid.regularizer.L2DecayRegularizer(reg))
    optimizer.minimize(avg_cost)

    def feed(step):
        return {
            "feat_idx": integers("fm_idx" + step, features + 1, 6, fields, low=1),
            "feat_value": uniform("fm_value" + step, 6, fields, low=0.0),
            "label": integers("fm_label" + step, 2, 6, 1).astype("float32"),
        }

    fetch = [avg_cost, predict, auc_var, batch_auc_var]
    return Run(steps(3, feed), fetch, ["embedding_0.w_0", "factors", "fc_0.w_0", "fc_2.b_0"])


# --------------------------------------------------------------------------------------------- deep interest network


def din_attention(fluid, hist, target_expand, mask):
    """Attention weights over a padded history."""
    layers, width = fluid.layers, 2 * D
    concat = layers.concat([hist, target_expand, hist - target_expand, hist * target_expand], axis=2)
    atten_fc1 = layers.fc(name="atten_fc1", input=concat, size=8, act="sigmoid", num_flatten_dims=2)
    atten_fc2 = layers.fc(name="atten_fc2", input=atten_fc1, size=6, act="sigmoid", num_flatten_dims=2)
    atten_fc3 = layers.fc(name="atten_fc3", input=atten_fc2, size=1, num_flatten_dims=2)
    atten_fc3 += mask
    atten_fc3 = layers.transpose(x=atten_fc3, perm=[0, 2, 1])
    atten_fc3 = layers.scale(x=atten_fc3, scale=width**-0.5)
    weight = layers.softmax(atten_fc3)
    out = layers.matmul(weight, hist)
    return layers.reshape(x=out, shape=[0, width])


@case
def din(fluid):
    layers = fluid.layers
    item_emb_attr = fluid.ParamAttr(name="item_emb")
    cat_emb_attr = fluid.ParamAttr(name="cat_emb")
    longest = 3
    hist_item_seq = fluid.data(name="hist_item_seq", shape=[None, longest], dtype="int64")
    hist_cat_seq = fluid.data(name="hist_cat_seq", shape=[None, longest], dtype="int64")
    target_item = fluid.data(name="target_item", shape=[None], dtype="int64")
    target_cat = fluid.data(name="target_cat", shape=[None], dtype="int64")
    label = fluid.data(name="label", shape=[None, 1], dtype="float32")
    mask = fluid.data(name="mask", shape=[None, longest, 1], dtype="float32")
    target_item_seq = fluid.data(name="target_item_seq", shape=[None, longest], dtype="int64")
    target_cat_seq = fluid.data(name="target_cat_seq", shape=[None, longest], dtype="int64")

    def item(ids):
        return fluid.embedding(input=ids, size=[MOVIES, D], param_attr=item_emb_attr, is_sparse=True)

    def category(ids):
        return fluid.embedding(input=ids, size=[6, D], param_attr=cat_emb_attr, is_sparse=True)

    item_b_attr = fluid.ParamAttr(name="item_b", initializer=fluid.initializer.Constant(value=0.0))
    item_b = fluid.embedding(input=target_item, size=[MOVIES, 1], param_attr=item_b_attr, is_sparse=True)
    hist_seq_concat = layers.concat([item(hist_item_seq), category(hist_cat_seq)], axis=2)
    target_seq_concat = layers.concat([item(target_item_seq), category(target_cat_seq)], axis=2)
    target_concat = layers.concat([item(target_item), category(target_cat)], axis=1)
    out = din_attention(fluid, hist_seq_concat, target_seq_concat, mask)
    out_fc = layers.fc(name="out_fc", input=out, size=2 * D, num_flatten_dims=1)
    embedding_concat = layers.concat([out_fc, target_concat], axis=1)
    fc1 = layers.fc(name="fc1", input=embedding_concat, size=8, act="sigmoid")
    fc2 = layers.fc(name="fc2", input=fc1, size=6, act="sigmoid")
    fc3 = layers.fc(name="fc3", input=fc2, size=1)
    logit = fc3 + item_b
    loss = layers.reduce_mean(layers.sigmoid_cross_entropy_with_logits(x=logit, label=label))
    sigmoid = layers.sigmoid(logit)
    rate = layers.piecewise_decay(boundaries=[2, 4], values=[0.85, 0.2, 0.1])
    fluid.clip.set_gradient_clip(clip=fluid.clip.GradientClipByGlobalNorm(clip_norm=0.05))
    fluid.optimizer.SGD(learning_rate=rate).minimize(loss)

    def feed(step):
        lengths = integers("din_len" + step, longest + 1, N, low=1)
        inside = numpy.arange(longest)[None, :] < lengths[:, None]
        item_id, cat_id = integers("din_item" + step, MOVIES, N), integers("din_cat" + step, 6, N)
        return {
            "hist_item_seq": integers("din_hist" + step, MOVIES, N, longest) * inside,
            "hist_cat_seq": integers("din_hist_cat" + step, 6, N, longest) * inside,
            "target_item": item_id,
            "target_cat": cat_id,
            "label": integers("din_label" + step, 2, N, 1).astype("float32"),
            "mask": numpy.where(inside, 0.0, -1e9).astype("float32")[:, :, None],
            "target_item_seq": numpy.repeat(item_id[:, None], longest, axis=1),
            "target_cat_seq": numpy.repeat(cat_id[:, None], longest, axis=1),
        }

    return Run(steps(5, feed), [loss, sigmoid, rate], ["item_emb", "cat_emb", "item_b", "fc1.w_0", "atten_fc1.w_0"])


@case
def din_shapes(fluid):
    """The part of it whose shapes are made while it runs: shape, slice, fill_constant, expand."""
    layers = fluid.layers
    hist = fluid.data(name="hist", shape=[None, None, D], dtype="float32")
    target = fluid.data(name="target", shape=[None, D], dtype="float32")
    hist.stop_gradient = target.stop_gradient = False
    longest = layers.slice(layers.shape(hist), axes=[0], starts=[1], ends=[2])
    one = layers.fill_constant(shape=[1], dtype="int32", value=1)
    times = layers.concat([one, longest, one])
    repeated = layers.expand(layers.unsqueeze(target, axes=[1]), expand_times=times)
    difference = layers.elementwise_sub(hist, repeated)
    loss = layers.mean(layers.square(difference))
    fluid.backward.append_backward(loss)
    feeds = [{"hist": uniform("din_hist", N, n, D), "target": uniform("din_target", N, D)} for n in (3, 2)]
    return Run(feeds, [loss, difference, "hist@GRAD", "target@GRAD"])


# -------------------------------------------------------------------------------------------------------- session GRU


@case
def session_gru(fluid):
    """The next item of a session, from the items before it."""
    src_wordseq = fluid.data(name="src_wordseq", shape=[None, 1], dtype="int64", lod_level=1)
    dst_wordseq = fluid.data(name="dst_wordseq", shape=[None, 1], dtype="int64", lod_level=1)
    hid_size, low, high = 6, -0.1, 0.1

    def attr(rate):
        return fluid.ParamAttr(initializer=fluid.initializer.Uniform(low=low, high=high), learning_rate=rate)

    emb = fluid.layers.embedding(input=src_wordseq, size=[WORDS, hid_size], param_attr=attr(10.0), is_sparse=True)
    fc0 = fluid.layers.fc(input=emb, size=hid_size * 3, param_attr=attr(1.0))
    gru_h0 = fluid.layers.dynamic_gru(input=fc0, size=hid_size, param_attr=attr(1.0), h_0=None)
    fc = fluid.layers.fc(input=gru_h0, size=WORDS, act="softmax", param_attr=attr(1.0))
    cost = fluid.layers.cross_entropy(input=fc, label=dst_wordseq)
    acc = fluid.layers.accuracy(input=fc, label=dst_wordseq, k=7)
    avg_cost = fluid.layers.mean(x=cost)
    fluid.optimizer.Adagrad(learning_rate=0.05).minimize(avg_cost)

    def feed(step):
        lengths = lens("gru" + step, N, 5)
        count = sum(lengths)
        return {
            "src_wordseq": (integers("gru_src" + step, WORDS, count, 1), [lengths]),
            "dst_wordseq": (integers("gru_dst" + step, WORDS, count, 1), [lengths]),
        }

    return Run(
        steps(4, feed), [avg_cost, acc, fc], ["embedding_0.w_0", "fc_0.w_0", "gru_0.w_0", "gru_0.b_0", "fc_1.w_0"]
    )


# ------------------------------------------------------------------------------------------------ factorization machine


@case
def factorization_machine(fluid):
    """LoD slots, first- and second-order terms, L1 decay on a sparse table."""
    layers, features, width = fluid.layers, 101, 4
    slots = [fluid.data(name=f"slot{k}", shape=[None, 1], dtype="int64", lod_level=1) for k in range(3)]
    dense = fluid.data(name="dense_input", shape=[None, 3], dtype="float32")
    label = fluid.data(name="label", shape=[None, 1], dtype="int64")

    def attr(name, scale):
        return fluid.ParamAttr(
            name=name,
            initializer=fluid.initializer.TruncatedNormal(loc=0.0, scale=scale),
            regularizer=fluid.regularizer.L1Decay(1e-4),
        )

    firsts, seconds = [], []
    for slot in slots:
        first = layers.embedding(slot, size=[features, 1], is_sparse=True, param_attr=attr("first", 0.1))
        firsts.append(layers.sequence_pool(first, "sum"))
        second = layers.embedding(slot, size=[features, width], is_sparse=True, param_attr=attr("second", 0.1))
        seconds.append(layers.sequence_pool(second, "sum"))
    first_order = layers.sum(firsts)
    stacked = layers.stack(seconds, axis=1)
    summed = layers.reduce_sum(stacked, dim=1)
    second_order = 0.5 * layers.reduce_sum(
        layers.square(summed) - layers.reduce_sum(layers.square(stacked), dim=1), dim=1, keep_dim=True
    )
    linear = layers.fc(dense, size=1)
    predict = layers.sigmoid(first_order + second_order + linear)
    cost = layers.log_loss(input=predict, label=layers.cast(label, "float32"))
    avg_cost = layers.reduce_mean(cost)
    auc, batch_auc, _ = layers.auc(
        input=layers.concat([1 - predict, predict], 1), label=label, num_thresholds=2**12, slide_steps=20
    )
    fluid.optimizer.SGD(0.1).minimize(avg_cost)

    def feed(step):
        feeds = {f"slot{k}": sequences(f"slot{k}_{step}", features, 4, shortest=k % 2) for k in range(3)}
        feeds["dense_input"] = uniform("fm_dense" + step, N, 3)
        feeds["label"] = integers("fm_click" + step, 2, N, 1)
        return feeds

    return Run(steps(3, feed), [avg_cost, predict, auc, batch_auc], ["first", "second", "fc_0.w_0"])
