import Engine

/// A virtio console with one port.
///
/// | Queue | Use |
/// |---|---|
/// | 0 | receive: what was typed, into the writable part |
/// | 1 | transmit: the readable part is printed |
///
/// | Offset | Configuration |
/// |---|---|
/// | 0 | cols u16, rows u16: 0, not offered |
/// | 4 | max_nr_ports u32: 1, not offered |
/// | 8 | emerg_wr u32: a byte written here is printed (feature bit 2) |
///
/// - SeeAlso: Virtual I/O Device (VIRTIO) Version 1.2, "Console Device"; QEMU
///   hw/char/virtio-serial-bus.c.
public final class VirtIOConsole: VirtIODevice {
  /// Most bytes printed from one chain, so that one notification stays a bounded amount of work.
  ///
  /// What is beyond is lost.
  public static let maxTransmit: UInt64 = 1 << 20
  /// Most bytes taken in at once.
  private static let chunk: UInt64 = 4096

  private let sink: (any ConsoleSink)?
  private let source: (any ConsoleSource)?
  private var typed: [UInt8] = []
  /// What was typed and not yet fetched.
  public var archivedState: [UInt8] {
    get { typed }
    set { typed = newValue }
  }

  /// Its type.
  public let deviceID: UInt32 = 3
  /// Its own feature bits.
  public let features = VirtFeatures(rawValue: 1 << 2)
  /// How many queues it has.
  public let queueCount = 2
  /// Its configuration space.
  public let config: [UInt8] = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]

  /// A console that prints to `sink` and is typed at by `source`.
  public init(sink: (any ConsoleSink)?, source: (any ConsoleSource)?) {
    self.sink = sink
    self.source = source
  }

  /// Prints a byte written to emerg_wr.
  public func writeConfig(_ offset: Int, _ value: UInt8) {
    if offset == 8 { sink?.write([value]) }
  }

  /// Serves a queue.
  public func notify(_ queue: Int, _ host: any VirtIOHost) {
    if queue == 1 {
      host.serve(queue) { transmit($0) }
    } else {
      poll(host)
    }
  }

  private func transmit(_ request: VirtIORequest) -> UInt64 {
    let count = min(request.readableCount, Self.maxTransmit)
    var offset: UInt64 = 0
    while offset < count {
      sink?.write(request.read(offset, min(count &- offset, 65536)))
      offset &+= 65536
    }
    return 0
  }

  /// Gives what was typed to the driver.
  public func poll(_ host: any VirtIOHost) {
    host.serve(0) { request in
      let room = Int(min(request.writableCount, Self.chunk))
      while typed.count < room, let byte = source?.next() { typed.append(byte) }
      let count = min(room, typed.count)
      guard count > 0 || room == 0 else { return nil }
      request.write(0, Array(typed.prefix(count)))
      typed.removeFirst(count)
      return UInt64(count)
    }
  }
}

/// A virtio entropy device: every buffer is filled with random bytes.
///
/// - SeeAlso: Virtual I/O Device (VIRTIO) Version 1.2, "Entropy Device".
public final class VirtIOEntropy: VirtIODevice {
  /// Most bytes given for one buffer.
  public static let maxBytes: UInt64 = 65536

  private let source: any EntropySource

  /// Its type.
  public let deviceID: UInt32 = 4
  /// Its own feature bits.
  public let features: VirtFeatures = []
  /// How many queues it has.
  public let queueCount = 1
  /// Its configuration space.
  public let config: [UInt8] = []

  /// A device that gives what `source` gives.
  public init(_ source: any EntropySource) { self.source = source }

  /// Serves a queue.
  public func notify(_ queue: Int, _ host: any VirtIOHost) {
    host.serve(queue) { request in
      let wanted = Int(min(request.writableCount, Self.maxBytes))
      let bytes = Array(source.bytes(wanted).prefix(wanted))
      request.write(0, bytes)
      return UInt64(bytes.count)
    }
  }
}
