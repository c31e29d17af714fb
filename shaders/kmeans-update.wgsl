// Centroids as means of their points, in a fixed order: no float atomics, the same bits on every run.
//
// The points come sorted by cluster (sort.wgsl, stably), so each cluster is a contiguous segment of the sorted list;
// offset[j] is where cluster j begins and offset[clusters] = points.
//   partial     part[s, :] = Σ of up to CHUNK points of one segment, in sorted order
//   accumulate  sums[j, :] += Σ of the parts of segment j, in order; counts[j] += its points
//   finish      centroids[j, :] = sums[j, :] / counts[j], or with SPHERICAL / ‖sums[j, :]‖; where that is 0 they stay
//
// Shapes:   order is points; x is points × dimensions; offset is clusters + 1; counts is clusters; sums and centroids
//           are clusters × dimensions (a multiple of 4); part is (⌊points / CHUNK⌋ + clusters) × dimensions.
// Bindings: 0 params, 1 order, 2 offset, 3 x, 4 part, 5 sums, 6 counts, 7 centroids
//           (partial: 0 to 4; accumulate: 0, 2, 4, 5, 6; finish: 0, 5, 6, 7).
// Dispatch: partial: one workgroup a slot; accumulate, finish: one a cluster; folded into x × y.
//
//   sorted     | cluster 0: chunk 0 | chunk 1 | 1: chunk 0 | 2: chunk 0 | …       chunk 0 begins with its cluster
//   slot         of chunk i of cluster j: ⌊offset[j] / CHUNK⌋ + j + i
//   workgroup    lane l: vectors l, l + WORKGROUP, … of 4 dimensions, each summed by that lane alone
//                (finish with SPHERICAL: the lanes' squares meet in a tree)
//
// Slots of different clusters never meet (⌈n/C⌉ ≤ ⌊(o+n)/C⌋ − ⌊o/C⌋ + 1), so no scan is needed, and a huge cluster is
// as parallel as many small ones.
// Source:   the sort-inverse update of flash-kmeans (arXiv 2603.09229); the slots and the order are this project's.

const WORKGROUP: u32 = 64;
const CHUNK: u32 = 256;
const SPHERICAL: bool = false;

struct Params {
  points: u32,
  clusters: u32,
  dimensions: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read> offset: array<u32>;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> part: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> sums: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> counts: array<u32>;
@group(0) @binding(7) var<storage, read_write> centroids: array<vec4<f32>>;

var<workgroup> lanes: array<f32, WORKGROUP>;

// The last cluster whose first slot is not beyond this one.
fn cluster_of(slot: u32) -> u32 {
  var low = 0u;
  var high = params.clusters;
  while (high - low > 1u) {
    let middle = (low + high) / 2u;
    if (offset[middle] / CHUNK + middle <= slot) { low = middle; } else { high = middle; }
  }
  return low;
}

@compute @workgroup_size(WORKGROUP)
fn partial(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
  let slot = group.x + group.y * groups.x;
  if (slot >= params.points / CHUNK + params.clusters) { return; }
  let cluster = cluster_of(slot);
  let start = offset[cluster];
  let end = offset[cluster + 1u];
  let first = start + (slot - start / CHUNK - cluster) * CHUNK;
  if (first >= end) { return; }
  let last = min(first + CHUNK, end);
  let vectors = params.dimensions / 4u;
  for (var c = lane; c < vectors; c += WORKGROUP) {
    var sum = vec4<f32>();
    for (var at = first; at < last; at++) { sum += x[order[at] * vectors + c]; }
    part[slot * vectors + c] = sum;
  }
}

@compute @workgroup_size(WORKGROUP)
fn accumulate(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) lane: u32) {
  let cluster = group.x + group.y * groups.x;
  if (cluster >= params.clusters) { return; }
  let start = offset[cluster];
  let count = offset[cluster + 1u] - start;
  let first = start / CHUNK + cluster;
  let slots = (count + CHUNK - 1u) / CHUNK;
  let vectors = params.dimensions / 4u;
  for (var c = lane; c < vectors; c += WORKGROUP) {
    var sum = sums[cluster * vectors + c];
    for (var s = 0u; s < slots; s++) { sum += part[(first + s) * vectors + c]; }
    sums[cluster * vectors + c] = sum;
  }
  if (lane == 0u) { counts[cluster] += count; }
}

@compute @workgroup_size(WORKGROUP)
fn finish(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
  let cluster = group.x + group.y * groups.x;
  if (cluster >= params.clusters) { return; }
  let vectors = params.dimensions / 4u;
  let start = cluster * vectors;
  let count = f32(counts[cluster]);
  var scale = 0.0;
  if (SPHERICAL) {
    var squares = vec4<f32>();
    for (var c = lane; c < vectors; c += WORKGROUP) {
      let value = sums[start + c];
      squares = fma(value, value, squares);
    }
    lanes[lane] = (squares.x + squares.y) + (squares.z + squares.w);
    workgroupBarrier();
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
      if (lane < stride) { lanes[lane] += lanes[lane + stride]; }
      workgroupBarrier();
    }
    // Points that cancel out have no direction: the centroid stays where it was.
    scale = sqrt(lanes[0]);
  } else {
    scale = count;
  }
  if (count == 0.0 || scale == 0.0) { return; }
  for (var c = lane; c < vectors; c += WORKGROUP) {
    centroids[start + c] = sums[start + c] / scale;
  }
}
