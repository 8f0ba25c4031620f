"""Writes the files of this folder with da4ml 0.6.0 (PyPI): `python make.py`.

Every case is a traced function. `<case>.dais` is `CombLogic.save_binary`, `<case>.json` is `CombLogic.save`,
`<case>.pipeline.json` is `Pipeline.save` of the same program cut into stages. `<case>.csv` has one line per sample:
the real inputs, then the real outputs of `CombLogic.predict` (da4ml's interpreter on the binary). `registers.csv`
has per case the inputs' bits and the outputs' bits of the program, the stages of its pipeline, and `Pipeline.reg_bits`.
"""

from pathlib import Path

import numpy as np
from da4ml.trace import HWConfig, comb_trace, to_pipeline
from da4ml.trace.fixed_variable_array import FixedVariableArray
from da4ml.trace.ops import quantize, relu
from da4ml.types import Pipeline

FOLDER = Path(__file__).parent
SAMPLES = 24


def tracer(k, i, f):
    k, i, f = (np.asarray(v, dtype=np.int64) for v in (k, i, f))
    return FixedVariableArray.from_kif(k, i, f, hwconf=HWConfig(1, -1, -1), latency=0)


def kif(rng, n, k=None, i=(0, 5), f=(-1, 4)):
    k = rng.integers(0, 2, n) if k is None else np.full(n, k)
    i, f = rng.integers(*i, n), rng.integers(*f, n)
    return k, i, np.maximum(f, 1 - i - k)


def weights(rng, shape, bits=4):
    return rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), shape) / 2.0 ** rng.integers(0, 3, shape[-1])


def joined(*parts):
    return [v for part in parts for v in (part.ravel() if hasattr(part, 'ravel') else [part])]


def matrix(rng):
    x = tracer(*kif(rng, 6))
    return x, x @ weights(rng, (6, 5))


def dense(rng):
    x = tracer(*kif(rng, 8))
    h = relu(quantize(x, 1, 3, 2) @ weights(rng, (8, 6)) + rng.integers(-4, 4, 6) / 4, np.full(6, 4), np.full(6, 1))
    h = quantize(h @ weights(rng, (6, 6)) + 0.5, 1, 3, 2, 'SAT', 'RND')
    return x, relu(h) @ weights(rng, (6, 3))


def choices(rng):
    x = tracer(*kif(rng, 6, k=1))
    a, b = x[:3], x[3:]
    both = joined(np.maximum(a, b), np.minimum(a, b), np.abs(a), -np.abs(b))
    return x, joined(*both, np.sort(x[:4]), np.amax(x), np.amin(x), np.where(a > b, a, b * 2))


def products(rng):
    x = tracer(*kif(rng, 6, i=(0, 3), f=(0, 3)))
    return x, joined(x[:3] * x[3:], x[:2] ** 2, (x[:2] @ x[2:4]) * -0.75, -(x[4:] * x[:2]))


def tables(rng):
    x = tracer(*kif(rng, 5, i=(1, 3), f=(1, 3)))
    y = quantize(np.sin(x), 1, 0, 6, 'WRAP', 'RND')
    z = quantize(np.exp(x[:2] + 1.0), 0, 4, 3, 'SAT', 'TRN')
    return x, joined(y, z, quantize(y[:3] @ weights(rng, (3, 2)), 1, 2, 3))


def bits(rng):
    x = tracer(*kif(rng, 6, i=(1, 4), f=(0, 3)))
    a, b = x[:3], x[3:]
    return x, joined(a & b, a | b, a ^ b, ~a, (-a) & b, a | (-b), a > b, a <= b, a.to_bool('any'), b.to_bool('all'))


def signs(rng):
    x = tracer(*kif(rng, 4))
    return x, joined(-x, relu(-x), -x * 4, (-x + 3.0) / 8, x[0] * 0.0, x[0] * 0.0 + 2.5)


CASES = [matrix, dense, choices, products, tables, bits, signs]


def main():
    registers = []
    for number, case in enumerate(CASES):
        for variant in range(2):
            rng = np.random.default_rng([number, variant])
            x, y = case(rng)
            comb = comb_trace(x, y)
            name = f'{case.__name__}{variant}'
            low = np.array([float(v.low) for v in x.ravel()])
            high = np.array([float(v.high) for v in x.ravel()])
            step = np.array([float(v.step) for v in x.ravel()])
            # A third on the inputs' grids, a third between and outside of them, the ends.
            on_grid = low + np.floor(rng.random((SAMPLES, x.size)) * ((high - low) / step + 1)) * step
            off_grid = (rng.integers(-2**12, 2**12, (SAMPLES, x.size))) / 2.0**6
            samples = np.concatenate([on_grid, off_grid, [low, high]])
            outputs = comb.predict(samples)
            called = np.array([comb(s, quantize=True) for s in samples], dtype=np.float64)
            assert np.array_equal(outputs, called), f'{name}: predict differs from the definition'
            comb.save_binary(FOLDER / f'{name}.dais')
            comb.save(FOLDER / f'{name}.json')
            latency = comb.latency[1]
            pipeline = to_pipeline(comb, latency / 3 if latency else 1, retiming=False)
            piped = np.array([pipeline(s) for s in on_grid], dtype=np.float64)
            print(f'{name}: {len(comb.ops)} instructions, {len(pipeline.solutions)} stages,',
                  f'{(piped != outputs[:SAMPLES]).sum()} outputs of the pipeline differ,', sorted({op.opcode for op in comb.ops}))
            pipeline.save(FOLDER / f'{name}.pipeline.json')
            ends = [comb.inp_kifs.sum(), comb.out_kifs.sum(), len(pipeline.solutions), pipeline.reg_bits]
            registers.append(','.join([name, *map(str, ends)]))
            with open(FOLDER / f'{name}.csv', 'w') as file:
                for line in np.concatenate([samples, outputs], axis=1):
                    file.write(','.join(repr(float(v)) for v in line) + '\n')
    for variant in range(2):
        rng = np.random.default_rng([len(CASES), variant])
        x = tracer(*kif(rng, 4))
        first = comb_trace(x, joined(-x, -x * 4, x / 8, relu(-x), quantize(-x, 1, 2, 0)))
        low, high, step = np.array(first.out_qint).T
        y = FixedVariableArray.from_lhs(low, high, step, hwconf=HWConfig(1, -1, -1), latency=0)
        second = comb_trace(y, y @ weights(rng, (y.size, 3)))
        pipeline = Pipeline((first, second))
        samples = rng.integers(-2**12, 2**12, (SAMPLES, 4)) / 2.0**6
        outputs = second.predict(first.predict(samples))
        name = f'chained{variant}'
        print(f'{name}: shifts {first.out_shifts} and signs {first.out_negs} between the stages')
        pipeline.save(FOLDER / f'{name}.pipeline.json')
        registers.append(f'{name},0,0,2,{pipeline.reg_bits}')
        with open(FOLDER / f'{name}.csv', 'w') as file:
            for line in np.concatenate([samples, outputs], axis=1):
                file.write(','.join(repr(float(v)) for v in line) + '\n')
    (FOLDER / 'registers.csv').write_text('\n'.join(registers) + '\n')


main()
