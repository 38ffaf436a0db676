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
    var file: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0] + Array(repeating: 0, count: 8)
    func append<T: FixedWidthInteger>(_ value: T) {
      for shift in 0..<MemoryLayout<T>.size {
        file.append(UInt8(truncatingIfNeeded: value >> T(8 * shift)))
      }
    }
    append(UInt16(2))
    append(UInt16(243))
    append(UInt32(1))
    append(entry)
    append(UInt64(64))
    append(UInt64(0))
    append(UInt32(5))
    for value: UInt16 in [64, 56, UInt16(segments.count), 0, 0, 0] { append(value) }
    var offset: UInt64 = 4096
    for segment in segments {
      append(UInt32(1))
      append(segment.flags)
      append(offset + segment.address % 4096)
      append(segment.address)
      append(segment.address)
      append(UInt64(segment.bytes.count))
      append(segment.size)
      append(UInt64(4096))
      offset += (segment.address % 4096 + UInt64(segment.bytes.count) + 4095) & ~4095
    }
    for segment in segments {
      file += Array(repeating: 0, count: (4096 - file.count % 4096) % 4096)
      file += Array(repeating: 0, count: Int(segment.address % 4096)) + segment.bytes
    }
    return file
  }
}
