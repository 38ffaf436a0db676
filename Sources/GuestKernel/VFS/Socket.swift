import Engine

/// One end of a `socketpair(AF_UNIX, SOCK_STREAM)`.
final class SocketEnd: Inode {
  /// Bytes that can be under way in one direction (`net.core.wmem_default`).
  private static let capacity = 212_992

  private var inbound: [UInt8] = []
  private var start = 0
  private weak var peer: SocketEnd?
  private var readIsShut = false
  private var writeIsShut = false
  private var wasReset = false
  private var toRead = WaitQueue()
  private var toWrite = WaitQueue()

  package required init(placeholderFor a: Archive) { super.init(placeholderFor: a) }

  package override func archive(_ a: Archive) {
    super.archive(a)
    a("inbound", &inbound)
    a("start", &start)
    a.ref("peer", &peer)
    a("readIsShut", &readIsShut)
    a("writeIsShut", &writeIsShut)
    a("wasReset", &wasReset)
    a.ref("toRead", &toRead)
    a.ref("toWrite", &toWrite)
    if a.isReading, !(0...inbound.count).contains(start) {
      start = 0
      a.fail("a socket whose bytes do not add up")
    }
  }

  init(_ fileSystem: FileSystem) { super.init(fileSystem, FileMode(.socket, 0o777)) }

  static func connect(_ one: SocketEnd, _ other: SocketEnd) {
    one.peer = other
    other.peer = one
  }

  private var available: Int { inbound.count - start }
  private var room: Int { Self.capacity - available }

  override func read(
    at offset: UInt64, _ count: Int, _ file: OpenFile? = nil
  ) throws(Errno)
    -> [UInt8]
  {
    guard count > 0 else { return [] }
    if available == 0 {
      if wasReset {
        wasReset = false
        throw .ECONNRESET
      }
      guard peer != nil, !readIsShut else { return [] }
      throw .EAGAIN
    }
    let bytes = Array(inbound[start..<start + min(count, available)])
    start += bytes.count
    if start == inbound.count || start > Self.capacity {
      inbound.removeFirst(start)
      start = 0
    }
    peer?.toWrite.wakeAll()
    return bytes
  }

  override func write(
    at offset: UInt64, _ bytes: [UInt8], _ file: OpenFile? = nil
  ) throws(Errno)
    -> Int
  {
    if wasReset {
      wasReset = false
      throw .ECONNRESET
    }
    guard !writeIsShut, let peer, !peer.readIsShut else { throw .EPIPE }
    guard !bytes.isEmpty else { return 0 }
    guard peer.room > 0 else { throw .EAGAIN }
    let done = min(bytes.count, peer.room)
    peer.inbound.append(contentsOf: bytes[..<done])
    peer.toRead.wakeAll()
    return done
  }

  override func unread(_ bytes: [UInt8], _ file: OpenFile) {
    inbound.replaceSubrange(..<start, with: bytes)
    start = 0
  }

  override func closed(_ flags: OpenFlags) {
    guard let other = peer else { return }
    other.wasReset = available > 0
    other.peer = nil
    peer = nil
    other.toRead.wakeAll()
    other.toWrite.wakeAll()
  }

  /// `shutdown`: 0 reading, 1 writing, 2 both.
  func shutdown(_ how: Int32) throws(Errno) {
    guard (0...2).contains(how) else { throw .EINVAL }
    if how != 1 {
      readIsShut = true
      peer?.writeIsShut = true
    }
    if how != 0 {
      writeIsShut = true
      peer?.readIsShut = true
    }
    for end in [self, peer] {
      end?.toRead.wakeAll()
      end?.toWrite.wakeAll()
    }
  }

  override func poll(_ file: OpenFile) -> PollEvents {
    var events: PollEvents = []
    if wasReset { events.insert(.error) }
    if available > 0 || peer == nil || readIsShut { events.formUnion(.readable) }
    if peer == nil || readIsShut { events.insert(.readHangUp) }
    if peer == nil || readIsShut && writeIsShut { events.insert(.hangUp) }
    // As Linux: writable while no more than a quarter of the room is taken.
    if (peer?.available ?? 0) * 4 <= Self.capacity { events.formUnion(.writable) }
    return events
  }

  override func readQueue(_ file: OpenFile) -> WaitQueue? { toRead }
  override func writeQueue(_ file: OpenFile) -> WaitQueue? { toWrite }

  override func ioctl(
    _ request: UInt32, _ argument: UInt64, _ memory: any UserMemory, _ file: OpenFile
  ) throws(Errno) -> Int {
    switch request {
    case IOControl.bytesToRead: try memory.write(argument, littleEndian(Int32(clamping: available)))
    case IOControl.bytesToWrite:
      try memory.write(argument, littleEndian(Int32(clamping: peer?.available ?? 0)))
    default: throw .ENOTTY
    }
    return 0
  }
}

/// `eventfd`: a counter that is read and written as eight bytes.
///
/// - SeeAlso: Linux, `fs/eventfd.c`; eventfd(2).
final class EventCounter: Inode {
  private var value: UInt64
  private var isSemaphore: Bool
  private var toRead = WaitQueue()
  private var toWrite = WaitQueue()

  package required init(placeholderFor a: Archive) {
    (value, isSemaphore) = (0, false)
    super.init(placeholderFor: a)
  }

  package override func archive(_ a: Archive) {
    super.archive(a)
    a("value", &value)
    a("isSemaphore", &isSemaphore)
    a.ref("toRead", &toRead)
    a.ref("toWrite", &toWrite)
  }

  init(_ fileSystem: FileSystem, _ value: UInt64, isSemaphore: Bool) {
    self.value = value
    self.isSemaphore = isSemaphore
    super.init(fileSystem, FileMode(rawValue: 0o600))
  }

  override func read(
    at offset: UInt64, _ count: Int, _ file: OpenFile? = nil
  ) throws(Errno)
    -> [UInt8]
  {
    guard count >= 8 else { throw .EINVAL }
    guard value > 0 else { throw .EAGAIN }
    let taken = isSemaphore ? 1 : value
    value &-= taken
    toWrite.wakeAll()
    return littleEndian(taken)
  }

  override func write(
    at offset: UInt64, _ bytes: [UInt8], _ file: OpenFile? = nil
  ) throws(Errno)
    -> Int
  {
    guard bytes.count >= 8 else { throw .EINVAL }
    let added = bytes.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard added != .max else { throw .EINVAL }
    guard added < .max &- value else { throw .EAGAIN }
    value &+= added
    toRead.wakeAll()
    return 8
  }

  override func unread(_ bytes: [UInt8], _ file: OpenFile) {
    value &+= bytes.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
  }

  override func poll(_ file: OpenFile) -> PollEvents {
    var events: PollEvents = []
    if value > 0 { events.insert(.input) }
    if value < .max - 1 { events.insert(.output) }
    return events
  }

  override func readQueue(_ file: OpenFile) -> WaitQueue? { toRead }
  override func writeQueue(_ file: OpenFile) -> WaitQueue? { toWrite }
}
