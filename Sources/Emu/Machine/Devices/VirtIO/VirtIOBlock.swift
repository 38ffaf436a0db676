import Engine

/// A virtio block device.
///
/// | Request | Effect | Status |
/// |---|---|---|
/// | 0 IN | sectors to the writable part | OK, or IOERR: past the end, not whole sectors |
/// | 1 OUT | the readable part to sectors | likewise, and where read-only |
/// | 4 FLUSH | makes writes durable | OK or IOERR |
/// | 8 GET_ID | 20 bytes of serial number | OK |
/// | other | | UNSUPP |
///
/// | Offset | Configuration | Value |
/// |---|---|---|
/// | 0 | capacity u64 | sectors of 512 bytes |
/// | 8 | size_max u32 | 0, not offered |
/// | 12 | seg_max u32 | 254 |
/// | 16 | cylinders u16, heads u8, sectors u8 | as QEMU guesses: 16 heads, 63 sectors |
/// | 20 | blk_size u32 | 512 |
/// | 24 | physical_block_exp u8, alignment_offset u8, min_io_size u16, opt_io_size u32 | 0 |
/// | 32 | writeback u8, unused u8, num_queues u16 | 1, 0, 1 |
///
/// A request without a header or without room for its status breaks the queue's rules; it is given
/// back with nothing written. A request that moves more than ``maxTransfer`` bytes fails.
///
/// - SeeAlso: Virtual I/O Device (VIRTIO) Version 1.2, "Block Device"; QEMU hw/block/virtio-blk.c.
public final class VirtIOBlock: VirtIODevice {
  /// Most bytes that one request moves, so that one notification stays a bounded amount of work.
  public static let maxTransfer: UInt64 = 64 << 20

  private enum Status {
    static let ok: UInt8 = 0
    static let error: UInt8 = 1
    static let unsupported: UInt8 = 2
  }

  private let backend: any BlockBackend
  private let serial: [UInt8]
  private let sectors: UInt64

  /// The disk's bytes, where a snapshot keeps them.
  public var archivedState: [UInt8] {
    get { backend.archivedContents ?? [] }
    set { if backend.archivedContents != nil { backend.archivedContents = newValue } }
  }

  /// Its type.
  public let deviceID: UInt32 = 2
  /// Its own feature bits.
  public let features: VirtFeatures
  /// How many queues it has.
  public let queueCount = 1
  /// Its configuration space.
  public let config: [UInt8]

  /// A device over a backend, with at most 20 bytes of serial number.
  public init(_ backend: any BlockBackend, serial: String = "") {
    self.backend = backend
    self.serial = Array(serial.utf8.prefix(20))
    sectors = backend.size / 512
    var bits: UInt64 = 1 << 2 | 1 << 4 | 1 << 6 | 1 << 9 | 1 << 10
    if backend.isReadOnly { bits |= 1 << 5 }
    features = VirtFeatures(rawValue: bits)
    var config: [UInt8] = []
    func append(_ value: UInt64, _ count: Int) {
      for index in 0..<count {
        config.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index)))
      }
    }
    append(sectors, 8)
    append(0, 4)
    append(254, 4)
    append(min(max(sectors / (16 * 63), 2), 16383), 2)
    append(16, 1)
    append(63, 1)
    append(512, 4)
    append(0, 8)
    append(1, 2)
    append(1, 2)
    self.config = config
  }

  /// Serves a queue.
  public func notify(_ queue: Int, _ host: any VirtIOHost) {
    host.serve(queue) { serve($0) }
  }

  private func serve(_ request: VirtIORequest) -> UInt64 {
    let header = request.read(0, 16)
    let room = request.writableCount
    guard header.count == 16, room > 0 else { return 0 }
    let type = header[0..<4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let sector = header[8..<16].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let status: UInt8
    switch type {
    case 0:
      status = move(request.writable(0, room &- 1), sector, room &- 1, request.ram, toRAM: true)
    case 1:
      let count = request.readableCount &- 16
      status = move(request.readable(16, count), sector, count, request.ram, toRAM: false)
    case 4: status = backend.flush() ? Status.ok : Status.error
    case 8:
      let padded = serial + Array(repeating: 0, count: 20 - serial.count)
      request.write(0, Array(padded.prefix(Int(min(room &- 1, 20)))))
      status = Status.ok
    default: status = Status.unsupported
    }
    request.write(room &- 1, [status])
    return room
  }

  private func move(
    _ segments: [VirtSegment], _ sector: UInt64, _ count: UInt64, _ ram: PhysicalMemory, toRAM: Bool
  ) -> UInt8 {
    guard count % 512 == 0, count <= Self.maxTransfer, sector <= sectors,
      count / 512 <= sectors &- sector, toRAM || !backend.isReadOnly
    else { return Status.error }
    var at = sector &* 512
    for segment in segments {
      guard ram.contains(segment.pa, segment.count) else { return Status.error }
      let bytes = UnsafeMutableRawBufferPointer(
        start: ram.pointer(segment.pa), count: Int(segment.count))
      if toRAM {
        let done = backend.read(at, into: bytes)
        ram.noteWrite(segment.pa, segment.count)
        guard done else { return Status.error }
      } else {
        guard backend.write(at, UnsafeRawBufferPointer(bytes)) else { return Status.error }
      }
      at &+= segment.count
    }
    return Status.ok
  }
}
