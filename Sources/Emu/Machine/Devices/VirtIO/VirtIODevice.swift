import Engine

/// Feature bits that belong to the transport and the queues.
///
/// - SeeAlso: Virtual I/O Device (VIRTIO) Version 1.2, "Reserved Feature Bits"; Version 1.0, "Legacy
///   Interface: Reserved Feature Bits".
public struct VirtFeatures: OptionSet, Sendable {
  /// The bits.
  public let rawValue: UInt64

  /// A set of bits.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The device interrupts when the queue runs empty, even if asked not to (legacy).
  public static let notifyOnEmpty = VirtFeatures(rawValue: 1 << 24)
  /// Requests may be cut into descriptors anyhow (legacy; always so since version 1).
  public static let anyLayout = VirtFeatures(rawValue: 1 << 27)
  /// Descriptors may lie in a table of their own.
  public static let indirectDescriptors = VirtFeatures(rawValue: 1 << 28)
  /// `used_event` and `avail_event` are in use.
  public static let eventIndex = VirtFeatures(rawValue: 1 << 29)
  /// Version 1 of the specification.
  public static let version1 = VirtFeatures(rawValue: 1 << 32)
}

/// What a virtio device asks of its transport.
public protocol VirtIOHost: AnyObject {
  /// Serves waiting chains of a queue, at most as many as wait now. `serve` gives the count of bytes
  /// written, or `nil` to leave the chain, and all behind it, for later.
  func serve(_ queue: Int, _ serve: (VirtIORequest) -> UInt64?)
}

/// A device behind a virtio transport.
public protocol VirtIODevice: AnyObject {
  /// Its type: 1 network, 2 block, 3 console, 4 entropy.
  var deviceID: UInt32 { get }
  /// Its own feature bits.
  var features: VirtFeatures { get }
  /// How many queues it has.
  var queueCount: Int { get }
  /// Its configuration space.
  var config: [UInt8] { get }
  /// The driver wrote a byte of the configuration space.
  func writeConfig(_ offset: Int, _ value: UInt8)
  /// The driver says that a queue has new chains.
  func notify(_ queue: Int, _ host: any VirtIOHost)
  /// Something may have arrived from outside.
  func poll(_ host: any VirtIOHost)
  /// The driver reset it.
  func reset()
  /// What it has besides its queues and its backend's bytes: nothing by default.
  var archivedState: [UInt8] { get set }
}

extension VirtIODevice {
  /// Nothing.
  public var archivedState: [UInt8] {
    get { [] }
    set {}
  }
  /// Ignores the write.
  public func writeConfig(_ offset: Int, _ value: UInt8) {}
  /// Does nothing.
  public func poll(_ host: any VirtIOHost) {}
  /// Does nothing.
  public func reset() {}
}

/// One chain as a device sees it: bytes to read and bytes to write, however they are cut.
public struct VirtIORequest {
  let chain: VirtChain
  let ram: PhysicalMemory

  /// Bytes that the device reads.
  public var readableCount: UInt64 { chain.readableCount }
  /// Bytes that the device may write.
  public var writableCount: UInt64 { chain.writableCount }

  /// The bytes at `offset` of the readable part, fewer where it ends before.
  public func read(_ offset: UInt64, _ count: UInt64) -> [UInt8] {
    var result: [UInt8] = []
    forEach(chain.readable, offset, count) {
      result.append(contentsOf: ram.bytes($0.pa, Int($0.count)) ?? [])
    }
    return result
  }

  /// Stores bytes at `offset` of the writable part, as far as there is room.
  public func write(_ offset: UInt64, _ bytes: [UInt8]) {
    var done = 0
    forEach(chain.writable, offset, UInt64(bytes.count)) { piece in
      bytes.withUnsafeBytes {
        let part = UnsafeRawBufferPointer(rebasing: $0[done..<(done + Int(piece.count))])
        _ = ram.write(piece.pa, part)
      }
      done += Int(piece.count)
    }
  }

  /// The pieces of guest RAM that hold `count` bytes from `offset` of the readable part on.
  func readable(_ offset: UInt64, _ count: UInt64) -> [VirtSegment] {
    var result: [VirtSegment] = []
    forEach(chain.readable, offset, count) { result.append($0) }
    return result
  }

  /// The pieces of guest RAM that hold `count` bytes from `offset` of the writable part on.
  func writable(_ offset: UInt64, _ count: UInt64) -> [VirtSegment] {
    var result: [VirtSegment] = []
    forEach(chain.writable, offset, count) { result.append($0) }
    return result
  }

  private func forEach(
    _ segments: [VirtSegment], _ offset: UInt64, _ count: UInt64, _ body: (VirtSegment) -> Void
  ) {
    var skip = offset
    var left = count
    for segment in segments where left > 0 {
      if skip >= segment.count {
        skip &-= segment.count
        continue
      }
      let part = min(segment.count &- skip, left)
      body(VirtSegment(pa: segment.pa &+ skip, count: part))
      skip = 0
      left &-= part
    }
  }
}
