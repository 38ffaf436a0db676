import Engine

/// The bytes of a pipe: slots of up to a page, as Linux has them, so that it is full and writable
/// when Linux's is.
///
/// - SeeAlso: Linux, `fs/pipe.c`, `pipe_write`, `pipe_read`.
struct PipeBuffer {
  /// `PIPE_BUF`: a write of at most so many bytes is never split.
  static let atomicLimit = 4096
  private static let slotSize = 4096

  /// Number of slots.
  private(set) var capacity = 16
  /// Bytes to be read.
  private(set) var count = 0
  private var slots: [(bytes: [UInt8], start: Int)] = []

  var isFull: Bool { slots.count >= capacity }

  /// Takes as much of `bytes` as there is room for.
  mutating func append(_ bytes: [UInt8]) -> Int {
    var done = 0
    // A rest of less than a page goes into the last slot, if all of it fits there.
    let part = bytes.count % Self.slotSize
    if part > 0, let last = slots.indices.last, slots[last].bytes.count + part <= Self.slotSize {
      slots[last].bytes.append(contentsOf: bytes[..<part])
      done = part
    }
    while done < bytes.count, !isFull {
      let piece = min(Self.slotSize, bytes.count - done)
      slots.append((Array(bytes[done..<done + piece]), 0))
      done += piece
    }
    count += done
    return done
  }

  mutating func take(_ limit: Int) -> [UInt8] {
    var taken: [UInt8] = []
    taken.reserveCapacity(min(limit, count))
    while taken.count < limit, !slots.isEmpty {
      let piece = min(limit - taken.count, slots[0].bytes.count - slots[0].start)
      taken.append(contentsOf: slots[0].bytes[slots[0].start..<slots[0].start + piece])
      slots[0].start += piece
      if slots[0].start == slots[0].bytes.count { slots.removeFirst() }
    }
    count -= taken.count
    return taken
  }

  /// Puts bytes back at the front.
  mutating func putBack(_ bytes: [UInt8]) {
    guard !bytes.isEmpty else { return }
    slots.insert((bytes, 0), at: 0)
    count += bytes.count
  }

  /// Changes the number of slots; `false` where more are in use.
  mutating func resize(_ slots: Int) -> Bool {
    guard slots >= self.slots.count else { return false }
    capacity = slots
    return true
  }
}

/// A pipe: nameless, or a FIFO of the tree.
final class Pipe: Inode {
  private var buffer = PipeBuffer()
  private var readingSides = 0
  private var writingSides = 0
  /// How often a side was opened: an opening that waits for the other side ends even if that has
  /// closed again.
  private var readerOpenings: UInt64 = 0
  private var writerOpenings: UInt64 = 0
  private var toRead = WaitQueue()
  private var toWrite = WaitQueue()
  private var isNamed: Bool

  /// What an open file remembers: the other side's openings when it came.
  final class Opening: Archivable {
    private(set) var writerOpenings: UInt64
    var waits: Bool
    private(set) var readerOpenings: UInt64
    init(_ writerOpenings: UInt64, _ readerOpenings: UInt64, waits: Bool) {
      self.writerOpenings = writerOpenings
      self.readerOpenings = readerOpenings
      self.waits = waits
    }

    package init(placeholderFor a: Archive) {
      (writerOpenings, readerOpenings, waits) = (0, 0, false)
    }

    package func archive(_ a: Archive) {
      a("writerOpenings", &writerOpenings)
      a("waits", &waits)
      a("readerOpenings", &readerOpenings)
    }
  }

  package required init(placeholderFor a: Archive) {
    isNamed = false
    super.init(placeholderFor: a)
  }

  package override func archive(_ a: Archive) {
    super.archive(a)
    a("buffer", &buffer)
    a("readingSides", &readingSides)
    a("writingSides", &writingSides)
    a("readerOpenings", &readerOpenings)
    a("writerOpenings", &writerOpenings)
    a.ref("toRead", &toRead)
    a.ref("toWrite", &toWrite)
    a("isNamed", &isNamed)
  }

  init(_ fileSystem: FileSystem, permissions: UInt32, isNamed: Bool) {
    self.isNamed = isNamed
    super.init(fileSystem, FileMode(.fifo, permissions))
  }

  override func open(_ file: OpenFile) throws(Errno) {
    let reads = file.flags.reads
    let writes = file.flags.writes
    if isNamed, writes, !reads, readingSides == 0, file.flags.contains(.nonBlock) { throw .ENXIO }
    let opening = Opening(writerOpenings, readerOpenings, waits: false)
    if isNamed, reads != writes, !file.flags.contains(.nonBlock) {
      opening.waits = reads ? writingSides == 0 : readingSides == 0
    }
    file.state = opening
    if reads {
      readingSides += 1
      readerOpenings &+= 1
      toWrite.wakeAll()
    }
    if writes {
      writingSides += 1
      writerOpenings &+= 1
      toRead.wakeAll()
    }
  }

  override func openQueue(_ file: OpenFile) -> WaitQueue? {
    guard let opening = file.state as? Opening, opening.waits else { return nil }
    if file.flags.reads {
      if opening.writerOpenings == writerOpenings { return toRead }
    } else if opening.readerOpenings == readerOpenings {
      return toWrite
    }
    opening.waits = false
    return nil
  }

  override func closed(_ flags: OpenFlags) {
    if flags.reads { readingSides -= 1 }
    if flags.writes { writingSides -= 1 }
    if readingSides == 0, writingSides == 0 { buffer = PipeBuffer() }
    toRead.wakeAll()
    toWrite.wakeAll()
  }

  override func read(
    at offset: UInt64, _ count: Int, _ file: OpenFile? = nil
  ) throws(Errno)
    -> [UInt8]
  {
    guard count > 0 else { return [] }
    if buffer.count == 0 {
      guard writingSides > 0 else { return [] }
      throw .EAGAIN
    }
    let wasFull = buffer.isFull
    let bytes = buffer.take(count)
    if wasFull, !buffer.isFull { toWrite.wakeAll() }
    return bytes
  }

  override func write(
    at offset: UInt64, _ bytes: [UInt8], _ file: OpenFile? = nil
  ) throws(Errno)
    -> Int
  {
    guard !bytes.isEmpty else { return 0 }
    guard readingSides > 0 else { throw .EPIPE }
    let done = buffer.append(bytes)
    guard done > 0 else { throw .EAGAIN }
    toRead.wakeAll()
    modified = fileSystem.time
    changed = modified
    return done
  }

  override func unread(_ bytes: [UInt8], _ file: OpenFile) { buffer.putBack(bytes) }

  override func poll(_ file: OpenFile) -> PollEvents {
    var events: PollEvents = []
    if file.flags.reads {
      if buffer.count > 0 { events.formUnion(.readable) }
      // A FIFO that no writer has opened yet has not been hung up.
      let opening = file.state as? Opening
      if writingSides == 0, !isNamed || opening?.writerOpenings != writerOpenings {
        events.insert(.hangUp)
      }
    }
    if file.flags.writes {
      if !buffer.isFull { events.formUnion(.writable) }
      if readingSides == 0 { events.insert(.error) }
    }
    return events
  }

  override func readQueue(_ file: OpenFile) -> WaitQueue? { toRead }
  override func writeQueue(_ file: OpenFile) -> WaitQueue? { toWrite }

  override func ioctl(
    _ request: UInt32, _ argument: UInt64, _ memory: any UserMemory, _ file: OpenFile
  ) throws(Errno) -> Int {
    guard request == IOControl.bytesToRead else { throw .ENOTTY }
    try memory.write(argument, littleEndian(Int32(clamping: buffer.count)))
    return 0
  }

  /// Bytes that it can hold.
  var byteCapacity: Int { buffer.capacity * 4096 }

  /// - Returns: the new size.
  func resize(_ size: UInt64) throws(Errno) -> Int {
    guard size <= 1 << 31 else { throw .EINVAL }
    // `Deviation:` `fs.pipe-max-size` holds for root too.
    guard size <= 1 << 20 else { throw .EPERM }
    var slots = 1
    while UInt64(slots) &* 4096 < size { slots *= 2 }
    guard buffer.resize(slots) else { throw .EBUSY }
    toWrite.wakeAll()
    return slots * 4096
  }
}

/// The bytes of a value as a little-endian guest has them.
func littleEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

extension PipeBuffer: Archived {
  package static func placeholder(_ a: Archive) -> PipeBuffer { PipeBuffer() }
  package mutating func archive(_ a: Archive) {
    a("capacity", &capacity)
    a("count", &count)
    a.parts("slots") {
      var number = slots.count
      a.number(&number)
      if a.isReading { slots = Array(repeating: ([], 0), count: number) }
      for index in slots.indices {
        a("bytes", &slots[index].bytes)
        a("start", &slots[index].start)
      }
    }
    guard a.isReading else { return }
    guard slots.allSatisfy({ $0.start >= 0 && $0.start < $0.bytes.count }),
      slots.reduce(0, { $0 + $1.bytes.count - $1.start }) == count, capacity > 0,
      capacity <= 1 << 20
    else { return a.fail("a pipe whose bytes do not add up") }
  }
}
