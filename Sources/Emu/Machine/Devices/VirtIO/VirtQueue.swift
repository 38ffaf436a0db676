import Engine

/// A piece of guest memory that a descriptor names.
///
/// It lies wholly in RAM.
struct VirtSegment: Equatable {
  var pa: UInt64
  var count: UInt64
}

/// One request: a chain of descriptors.
struct VirtChain {
  /// Index of the first descriptor, by which it is given back.
  let head: UInt16
  /// What the device reads, in order.
  var readable: [VirtSegment] = []
  /// What the device writes, in order.
  var writable: [VirtSegment] = []

  var readableCount: UInt64 { readable.reduce(0) { $0 &+ $1.count } }
  var writableCount: UInt64 { writable.reduce(0) { $0 &+ $1.count } }
}

/// The driver broke the rules of the queue, so the device gives up until it is reset.
struct VirtQueueError: Error, Equatable {
  let reason: String
}

/// A split virtqueue in guest RAM.
///
/// | Structure | Bytes | Layout (little-endian) |
/// |---|---|---|
/// | descriptor table | 16 n | {addr u64, len u32, flags u16, next u16} |
/// | available ring | 6 + 2 n | flags u16, idx u16, ring u16[n], used_event u16 |
/// | used ring | 6 + 8 n | flags u16, idx u16, {id u32, len u32}[n], avail_event u16 |
///
/// Nothing that the rings say is believed: indices, lengths, addresses, order and the length of chains
/// are checked, and a notification never serves more chains than the queue has entries.
///
/// - SeeAlso: Virtual I/O Device (VIRTIO) Version 1.2, "Split Virtqueues"; QEMU
///   hw/virtio/virtio.c, `virtqueue_split_pop`.
struct VirtQueue {
  /// Most entries of a queue (QEMU's VIRTQUEUE_MAX_SIZE).
  static let maxSize: UInt32 = 1024
  /// Most bytes of a chain.
  static let maxChainBytes: UInt64 = 1 << 32

  private static let next: UInt16 = 1
  private static let write: UInt16 = 2
  private static let indirect: UInt16 = 4

  var size: UInt32 = 0
  var descriptors: UInt64 = 0
  var available: UInt64 = 0
  var used: UInt64 = 0
  /// The driver has told where the rings are.
  var isReady = false

  private var lastAvailable: UInt16 = 0
  private var usedIndex: UInt16 = 0
  private var signalledUsed: UInt16 = 0
  private var hasSignalled = false

  /// How many chains wait.
  func waiting(_ ram: PhysicalMemory) throws(VirtQueueError) -> Int {
    guard isReady, size > 0 else { return 0 }
    let index = try load(ram, available &+ 2, as: UInt16.self)
    let waiting = index &- lastAvailable
    guard UInt32(waiting) <= size else {
      throw VirtQueueError(reason: "the available index moved by more than the queue's size")
    }
    return Int(waiting)
  }

  /// Takes the next chain.
  ///
  /// Call it as often as ``waiting(_:)`` said.
  mutating func pop(
    _ ram: PhysicalMemory, features: VirtFeatures
  ) throws(VirtQueueError) -> VirtChain {
    let slot = UInt64(UInt32(lastAvailable) % max(size, 1))
    let head = try load(ram, available &+ 4 &+ 2 &* slot, as: UInt16.self)
    lastAvailable &+= 1
    if features.contains(.eventIndex) {
      let event = used &+ 4 &+ 8 &* UInt64(size)
      guard ram.store(event, lastAvailable) else { throw outside(event) }
    }
    guard UInt32(head) < size else {
      throw VirtQueueError(reason: "head \(head) is not below the queue's size")
    }
    return try chain(ram, head, indirectAllowed: features.contains(.indirectDescriptors))
  }

  /// Puts the last chain that ``pop(_:features:)`` gave back, to be given again.
  mutating func unpop() { lastAvailable &-= 1 }

  private func chain(
    _ ram: PhysicalMemory, _ head: UInt16, indirectAllowed: Bool
  ) throws(VirtQueueError) -> VirtChain {
    var chain = VirtChain(head: head)
    var table = descriptors
    var count = size
    var index = UInt32(head)
    var inTable = false
    var seen: UInt32 = 0
    var bytes: UInt64 = 0
    while true {
      guard seen < count else { throw VirtQueueError(reason: "a chain loops") }
      seen &+= 1
      let at = table &+ 16 &* UInt64(index)
      let pa = try load(ram, at, as: UInt64.self)
      let length = try load(ram, at &+ 8, as: UInt32.self)
      let flags = try load(ram, at &+ 12, as: UInt16.self)
      if flags & Self.indirect != 0 {
        guard indirectAllowed else {
          throw VirtQueueError(reason: "an indirect descriptor was not negotiated")
        }
        guard !inTable else { throw VirtQueueError(reason: "an indirect table in another") }
        guard seen == 1, flags & Self.next == 0 else {
          throw VirtQueueError(reason: "an indirect descriptor with a next one")
        }
        guard length > 0, length % 16 == 0, length / 16 <= Self.maxSize else {
          throw VirtQueueError(reason: "an indirect table of \(length) bytes")
        }
        guard ram.contains(pa, UInt64(length)) else { throw outside(pa) }
        inTable = true
        table = pa
        count = length / 16
        index = 0
        seen = 0
        continue
      }
      let segment = VirtSegment(pa: pa, count: UInt64(length))
      guard length > 0 else { throw VirtQueueError(reason: "an empty buffer") }
      guard ram.contains(pa, segment.count) else { throw outside(pa) }
      bytes &+= segment.count
      guard bytes <= Self.maxChainBytes else {
        throw VirtQueueError(reason: "a chain of more than \(Self.maxChainBytes) bytes")
      }
      if flags & Self.write != 0 {
        chain.writable.append(segment)
      } else {
        guard chain.writable.isEmpty else {
          throw VirtQueueError(reason: "a readable buffer behind a writable one")
        }
        chain.readable.append(segment)
      }
      guard flags & Self.next != 0 else { return chain }
      index = UInt32(try load(ram, at &+ 14, as: UInt16.self))
      guard index < count else {
        throw VirtQueueError(reason: "next descriptor \(index) is not below \(count)")
      }
    }
  }

  /// Gives a chain back, with how many bytes of it were written.
  mutating func push(
    _ ram: PhysicalMemory, _ chain: VirtChain, written: UInt64
  ) throws(VirtQueueError) {
    let at = used &+ 4 &+ 8 &* UInt64(UInt32(usedIndex) % max(size, 1))
    guard ram.store(at, UInt32(chain.head)),
      ram.store(at &+ 4, UInt32(truncatingIfNeeded: written))
    else { throw outside(at) }
    usedIndex &+= 1
    guard ram.store(used &+ 2, usedIndex) else { throw outside(used) }
  }

  /// Whether the driver wants to be interrupted for what was pushed since it last was.
  mutating func wantsInterrupt(
    _ ram: PhysicalMemory, features: VirtFeatures
  ) throws(VirtQueueError) -> Bool {
    if features.contains(.notifyOnEmpty), try waiting(ram) == 0 { return true }
    guard features.contains(.eventIndex) else {
      return try load(ram, available, as: UInt16.self) & 1 == 0
    }
    let event = try load(ram, available &+ 4 &+ 2 &* UInt64(size), as: UInt16.self)
    let before = signalledUsed
    let first = !hasSignalled
    signalledUsed = usedIndex
    hasSignalled = true
    return first || usedIndex &- event &- 1 < usedIndex &- before
  }

  private func load<T: FixedWidthInteger & BitwiseCopyable>(
    _ ram: PhysicalMemory, _ pa: UInt64, as type: T.Type
  ) throws(VirtQueueError) -> T {
    guard let value = ram.load(pa, as: type) else { throw outside(pa) }
    return value
  }

  private func outside(_ pa: UInt64) -> VirtQueueError {
    VirtQueueError(reason: "address 0x\(String(pa, radix: 16)) is not RAM")
  }
}

extension VirtQueue: Archived {
  static func placeholder(_ archive: Archive) -> VirtQueue { VirtQueue() }
  mutating func archive(_ archive: Archive) {
    archive("size", &size)
    archive("descriptors", &descriptors)
    archive("available", &available)
    archive("used", &used)
    archive("isReady", &isReady)
    archive("lastAvailable", &lastAvailable)
    archive("usedIndex", &usedIndex)
    archive("signalledUsed", &signalledUsed)
    archive("hasSignalled", &hasSignalled)
    if archive.isReading, size > Self.maxSize { archive.fail("a queue of \(size) descriptors") }
  }
}
