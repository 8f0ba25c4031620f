"""Writes `<case>.strikes.csv` with da4ml 0.6.0 and Icarus Verilog: `python strikes.py`, after `make.py`.

Every register bit of the Verilog that da4ml writes for a pipeline is inverted once, in the cycle in which its row holds
the sample `n % 4`, where `n` is the number of the bit: row after row, in a row the values in the order of the
program's copies (of its outputs in the last row), bit 0 first. A line is `n,output,value` for an output of that sample
that differs then; `x` where the Verilog has no defined value.
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from da4ml.codegen.rtl import verilog
from da4ml.types import Pipeline, minimal_kif

FOLDER = Path(__file__).parent
SOURCES = Path(verilog.__file__).parent / 'source'


def bus(values, kifs):
    word, at = 0, 0
    for value, (k, i, f) in zip(values, kifs):
        width = int(k) + i + f
        word |= (int(np.floor(value * 2.0**f)) & ((1 << width) - 1)) << at
        at += width
    return word


def value(bits, kif):
    k, i, f = kif
    width = int(k) + i + f
    bits = bits.zfill(1)[::-1]
    if 'x' in bits:
        return 'x'
    mantissa = int(bits[::-1], 2) if width else 0
    if k and mantissa >> (width - 1):
        mantissa -= 1 << width
    return mantissa * 2.0**-f


def strikes(case, folder):
    pipeline = Pipeline.load(FOLDER / f'{case}.pipeline.json')
    stages = pipeline.solutions
    for name, text in verilog.pipeline_logic_gen(pipeline, 'net').items():
        (folder / f'{name}.v').write_text(text)
    for stage in stages:
        for name, text in verilog.table_mem_gen(stage).items():
            (folder / name).write_text(text)
    kifs = [[minimal_kif(q) for q in stage.inp_qint] for stage in stages]
    out_kifs = [minimal_kif(q) for q in pipeline.out_qint]
    bits = []
    for row, stage in enumerate(stages):
        starts = np.cumsum([0] + [sum(kif) for kif in kifs[row]])
        for op in stage.ops:
            if op.opcode == -1:
                bits += [(row, starts[op.id0] + bit) for bit in range(sum(kifs[row][op.id0]))]
    bits += [(len(stages), bit) for bit in range(sum(map(sum, out_kifs)))]
    lines = (FOLDER / f'{case}.csv').read_text().splitlines()
    inputs = stages[0].shape[0]
    words = [bus([float(v) for v in line.split(',')[:inputs]], kifs[0]) for line in lines[:4]]
    width_in, width_out = sum(map(sum, kifs[0])), sum(map(sum, out_kifs))
    names = [f'stage{row}_inp' for row in range(len(stages))] + ['model_out']
    trials = []
    for number, (row, bit) in [(-4 + s, (None, None)) for s in range(4)] + list(enumerate(bits)):
        sample = number % 4
        trials.append(f"x = {width_in}'h{words[sample]:x};")
        for edge in range(len(stages) + 1):
            trials.append('@(posedge clk); #1;')
            if row == edge:
                trials.append(f'dut.{names[row]}[{bit}] = ~dut.{names[row]}[{bit}]; #1;')
        trials.append('$display("%b", y);')
    (folder / 'bench.v').write_text(f"""`timescale 1ns / 1ps
module bench;
    reg clk = 0;
    reg [{width_in - 1}:0] x = 0;
    wire [{width_out - 1}:0] y;
    net dut (.clk(clk), .model_inp(x), .model_out(y));
    always #5 clk = ~clk;
    initial begin
        {'''
        '''.join(trials)}
        $finish;
    end
endmodule
""")
    for source in SOURCES.glob('*.v'):
        # Icarus Verilog does not take the attribute of the look-up tables, which says how to build them.
        lines_kept = [line for line in source.read_text().splitlines() if not line.strip().startswith('(*')]
        (folder / source.name).write_text('\n'.join(lines_kept) + '\n')
    sources = sorted(map(str, folder.glob('*.v')))
    subprocess.run(['iverilog', '-g2012', '-s', 'bench', '-o', 'bench', *sources], cwd=folder, check=True)
    out = subprocess.run(['vvp', 'bench'], cwd=folder, check=True, capture_output=True, text=True).stdout
    seen = [line for line in out.splitlines() if set(line) <= set('01x') and line]
    assert len(seen) == len(bits) + 4
    starts = np.cumsum([0] + [sum(kif) for kif in out_kifs])

    def outputs(line):
        line = line[::-1]
        return [value(line[a:b][::-1], kif) for a, b, kif in zip(starts, starts[1:], out_kifs)]

    clean = [outputs(line) for line in seen[:4]]
    for sample, line in enumerate(lines[:4]):
        assert clean[sample] == [float(v) for v in line.split(',')[inputs:]], f'{case}: the Verilog differs without strikes'
    found = []
    for number, line in enumerate(seen[4:]):
        struck = outputs(line)
        found += [f'{number},{at},{v}' for at, (v, c) in enumerate(zip(struck, clean[number % 4])) if v != c]
    (FOLDER / f'{case}.strikes.csv').write_text('\n'.join(found) + '\n')
    print(f'{case}: {len(bits)} register bits, {len(found)} outputs differ, {sum(line.endswith("x") for line in found)} undefined')


for line in (FOLDER / 'registers.csv').read_text().splitlines():
    with tempfile.TemporaryDirectory() as folder:
        strikes(line.split(',')[0], Path(folder))
