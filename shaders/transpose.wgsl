// Transposition of matrices in a batch: output[b, c, r] = input[b, r, c].
//
// Shapes:   input is batch × rows × columns, output batch × columns × rows.
// Bindings: 0 params, 1 input, 2 output.
// Dispatch: ⌈columns / TILE⌉ × ⌈rows / TILE⌉ × batch.
//
//    input, TILE × TILE           workgroup memory, TILE × (TILE + 1)          output, TILE × TILE
//   | →  →  →  →  line 0   |      | 0  1  2  …  pad |  read down a column     | →  →  →  →  column 0  |
//   | →  →  →  →  line 1   | ──▶  |             pad |                   ──▶   | →  →  →  →  column 1  |
//
// TILE × LINES invocations move LINES lines at a time, along rows on both sides; the padding column keeps lanes out of
// each other's banks.
// Source:   Ruetsch & Micikevicius, "Optimizing Matrix Transpose in CUDA" (2009).

alias Real = f32;
const TILE: u32 = 32;
// Rows of the tile that the workgroup moves at a time.
const LINES: u32 = 8;

struct Params {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Real>;
@group(0) @binding(2) var<storage, read_write> output: array<Real>;

var<workgroup> tile: array<Real, TILE * (TILE + 1)>;

@compute @workgroup_size(TILE, LINES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let matrix = group.z * params.rows * params.columns;
  let column = group.x * TILE + local.x;
  for (var line = local.y; line < TILE; line += LINES) {
    let row = group.y * TILE + line;
    if (row < params.rows && column < params.columns) {
      tile[line * (TILE + 1u) + local.x] = input[matrix + row * params.columns + column];
    }
  }
  workgroupBarrier();
  let row = group.y * TILE + local.x;
  for (var line = local.y; line < TILE; line += LINES) {
    let out_column = group.x * TILE + line;
    if (row < params.rows && out_column < params.columns) {
      output[matrix + out_column * params.rows + row] = tile[local.x * (TILE + 1u) + line];
    }
  }
}
