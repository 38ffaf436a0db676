import Image

/// A small ELF file for programs.
struct FuzzELF {
  struct Segment {
    var address: UInt64
    var bytes: [UInt8]
    var size: UInt64
    var flags: UInt32
  }

  var entry: UInt64
  var segments: [Segment]

  var bytes: [UInt8] {
    var builder = ELFBuilder(
      machine: 243, entry: entry,
      segments: segments.map {
        ELFBuilder.Segment(address: $0.address, bytes: $0.bytes, size: $0.size, flags: $0.flags)
      })
    // RVC, floats in registers up to double.
    builder.flags = 5
    return builder.bytes
  }
}
