// Stable least-significant-digit radix sort of (key, value) pairs, and where each key's run begins.
//
//   count    counts[digit, block] = how many keys of the block have the digit        one pass sorts by four bits:
//   scan     counts ← exclusive prefix sum, digit-major                              count, scan, scatter
//   scatter  pairs go to offsets[digit, block] + their rank in the block
//   run_starts  starts[k] = first i with keys[i] ≥ k, for k = 0 … key_range             (of sorted keys, by bisection)
//
// Shapes:   keys, values and their outputs have `length` values; counts has 16 × blocks; starts key_range + 1.
//           Keys above `key_range` are taken as key_range: they sort last and lie outside every run.
// Bindings: 0 params, 1 keys, 2 values, 3 counts, 4 offsets, 5 sorted_keys, 6 sorted_values, 7 starts
//           (count: 0, 1, 3; scan: 0, 3; scatter: 0, 1, 2, 4 to 6, with NUMBER any buffer for 2; run_starts: 0, 1, 7;
//           offsets is the scanned counts).
// Dispatch: count, scatter: one workgroup a block, in x; scan: 1; run_starts: any number of workgroups in x.
//
//   block b   | lane 0: ITEMS keys | lane 1: ITEMS keys | … | lane WORKGROUP − 1: ITEMS keys |
//   ranks       [digit, lane]: each lane counts and places its own run in order, so equal keys keep their order and no
//               atomics are needed
//   counts    | digit 0: block 0, 1, … | digit 1: … | … | digit 15: … |
//   scan      | lane 0 | lane 1 | … | lane SCAN_WORKGROUP − 1 |     a lane sums a contiguous part; the parts' sums are
//                                   scanned with strides 1, 2, 4, …; the lane writes the prefix sums of its part
//
// Source:   Harris, Sengupta & Owens, "Parallel Prefix Sum (Scan) with CUDA" (GPU Gems 3, 2007): the scan and scatter.

const WORKGROUP: u32 = 64;
const ITEMS: u32 = 16;
const SCAN_WORKGROUP: u32 = 256;
// The first pass may number the pairs instead of reading their values.
const NUMBER: bool = false;
const DIGITS: u32 = 16;

struct Params {
  length: u32,
  shift: u32,
  blocks: u32,
  key_range: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
@group(0) @binding(2) var<storage, read> values: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;
@group(0) @binding(4) var<storage, read> offsets: array<u32>;
@group(0) @binding(5) var<storage, read_write> sorted_keys: array<u32>;
@group(0) @binding(6) var<storage, read_write> sorted_values: array<u32>;
@group(0) @binding(7) var<storage, read_write> starts: array<u32>;

// counts of each lane's run: digit-major, as the scan is
var<workgroup> ranks: array<u32, DIGITS * WORKGROUP>;
var<workgroup> totals: array<u32, SCAN_WORKGROUP>;

fn key_at(i: u32) -> u32 {
  return min(keys[i], params.key_range);
}

fn digit_of(key: u32) -> u32 {
  return (key >> params.shift) & (DIGITS - 1u);
}

// Fills `ranks` with how often each digit occurs in each lane's run of the block.
fn count_block(block: u32, lane: u32) {
  for (var digit = 0u; digit < DIGITS; digit++) { ranks[digit * WORKGROUP + lane] = 0u; }
  let first = (block * WORKGROUP + lane) * ITEMS;
  let last = min(first + ITEMS, params.length);
  for (var i = first; i < last; i++) { ranks[digit_of(key_at(i)) * WORKGROUP + lane] += 1u; }
}

@compute @workgroup_size(WORKGROUP)
fn count(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  count_block(group.x, lane);
  workgroupBarrier();
  for (var digit = lane; digit < DIGITS; digit += WORKGROUP) {
    var sum = 0u;
    for (var run = 0u; run < WORKGROUP; run++) { sum += ranks[digit * WORKGROUP + run]; }
    counts[digit * params.blocks + group.x] = sum;
  }
}

// One workgroup: each lane sums a contiguous part, the parts are scanned, each lane writes its part's prefix sums.
@compute @workgroup_size(SCAN_WORKGROUP)
fn scan(@builtin(local_invocation_index) lane: u32) {
  let total = DIGITS * params.blocks;
  let run = (total + SCAN_WORKGROUP - 1u) / SCAN_WORKGROUP;
  let first = min(lane * run, total);
  let last = min(first + run, total);
  var sum = 0u;
  for (var i = first; i < last; i++) { sum += counts[i]; }
  totals[lane] = sum;
  workgroupBarrier();
  for (var stride = 1u; stride < SCAN_WORKGROUP; stride *= 2u) {
    var before = 0u;
    if (lane >= stride) { before = totals[lane - stride]; }
    workgroupBarrier();
    totals[lane] += before;
    workgroupBarrier();
  }
  var prefix = totals[lane] - sum;
  for (var i = first; i < last; i++) {
    let here = counts[i];
    counts[i] = prefix;
    prefix += here;
  }
}

@compute @workgroup_size(WORKGROUP)
fn scatter(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  count_block(group.x, lane);
  workgroupBarrier();
  for (var digit = lane; digit < DIGITS; digit += WORKGROUP) {
    var position = offsets[digit * params.blocks + group.x];
    for (var run = 0u; run < WORKGROUP; run++) {
      let here = ranks[digit * WORKGROUP + run];
      ranks[digit * WORKGROUP + run] = position;
      position += here;
    }
  }
  workgroupBarrier();
  let first = (group.x * WORKGROUP + lane) * ITEMS;
  let last = min(first + ITEMS, params.length);
  for (var i = first; i < last; i++) {
    let key = key_at(i);
    let slot = digit_of(key) * WORKGROUP + lane;
    let position = ranks[slot];
    ranks[slot] = position + 1u;
    sorted_keys[position] = key;
    if (NUMBER) { sorted_values[position] = i; } else { sorted_values[position] = values[i]; }
  }
}

@compute @workgroup_size(WORKGROUP)
fn run_starts(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var key = id.x; key <= params.key_range; key += groups.x * WORKGROUP) {
    var low = 0u;
    var high = params.length;
    while (low < high) {
      let middle = (low + high) / 2u;
      if (keys[middle] < key) { low = middle + 1u; } else { high = middle; }
    }
    starts[key] = low;
  }
}
