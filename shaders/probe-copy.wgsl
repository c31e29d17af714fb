// The adapter's copy bandwidth: destination[i] = source[i], 16 bytes a load, four loads in flight an invocation.
//
// Bindings: 0 source, 1 destination (arrays of vec4<u32>, a multiple of 4 * WORKGROUP vectors long).
// Dispatch: workgroups x * y = length / (4 * WORKGROUP); x <= 65535.
//
//   workgroup w   | WORKGROUP vectors | WORKGROUP | WORKGROUP | WORKGROUP |    from vector 4 * WORKGROUP * w on
//   thread t      |  t                |  t        |  t        |  t        |    four loads, then four stores
//
// Bytes moved: 32 * 4 * WORKGROUP * workgroups (each byte is read once and written once). Use buffers
// well past the last-level cache and fill them with random bits: some GPUs compress constants.
// Source: the copy of STREAM (McCalpin 1995), which counts bytes read and written alike.

const WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> destination: array<vec4<u32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u,
        @builtin(local_invocation_index) thread: u32) {
  let i = (workgroup.y * workgroups.x + workgroup.x) * 4u * WORKGROUP + thread;
  let v0 = source[i];
  let v1 = source[i + WORKGROUP];
  let v2 = source[i + 2u * WORKGROUP];
  let v3 = source[i + 3u * WORKGROUP];
  destination[i] = v0;
  destination[i + WORKGROUP] = v1;
  destination[i + 2u * WORKGROUP] = v2;
  destination[i + 3u * WORKGROUP] = v3;
}
