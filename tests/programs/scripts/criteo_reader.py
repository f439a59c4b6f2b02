import sys

import paddle.fluid.incubate.data_generator as dg


class CriteoDataset(dg.MultiSlotDataGenerator):
    """Lines of a label, three numbers and five categories, separated by tabs; any but the label may be empty."""

    def setup(self, feat_dict_size):
        self.cont_min_ = [0, -3, 0]
        self.cont_max_ = [20, 600, 100]
        self.cont_diff_ = [self.cont_max_[i] - self.cont_min_[i] for i in range(len(self.cont_min_))]
        self.continuous_range_ = range(1, 4)
        self.categorical_range_ = range(4, 9)
        self.feat_dict_size_ = feat_dict_size

    def _process_line(self, line):
        features = line.rstrip('\n').split('\t')
        feat_idx = []
        feat_value = []
        for idx in self.continuous_range_:
            if features[idx] == '':
                feat_idx.append(0)
                feat_value.append(0.0)
            else:
                feat_idx.append(idx)
                feat_value.append(
                    (float(features[idx]) - self.cont_min_[idx - 1]) / self.cont_diff_[idx - 1])
        for idx in self.categorical_range_:
            if features[idx] == '':
                feat_idx.append(0)
                feat_value.append(0.0)
            else:
                feat_idx.append(4 + (int(features[idx], 16) * 7 + idx) % (self.feat_dict_size_ - 3))
                feat_value.append(1.0)
        label = [int(features[0])]
        return feat_idx, feat_value, label

    def test(self, filelist):
        def local_iter():
            for fname in filelist:
                with open(fname.strip(), 'r') as fin:
                    for line in fin:
                        feat_idx, feat_value, label = self._process_line(line)
                        yield [feat_idx, feat_value, label]

        return local_iter

    def generate_sample(self, line):
        def data_iter():
            feat_idx, feat_value, label = self._process_line(line)
            feature_name = ['feat_idx', 'feat_value', 'label']
            yield list(zip(feature_name, [feat_idx] + [feat_value] + [label]))

        return data_iter


if __name__ == '__main__':
    criteo_dataset = CriteoDataset()
    if len(sys.argv) <= 1:
        sys.stderr.write("feat_dict_size needed for criteo reader.")
        exit(1)
    criteo_dataset.setup(int(sys.argv[1]))
    criteo_dataset.run_from_stdin()
