import Engine

/// A record lock as `struct flock` has it.
public struct RecordLock: Sendable, Equatable {
  /// `F_RDLCK` 0, `F_WRLCK` 1, `F_UNLCK` 2.
  public var kind: Int16
  /// 0 set, 1 current, 2 end.
  public var whence: Int16
  /// From where on.
  public var start: Int64
  /// How many bytes: 0 to the end, negative before `start`.
  public var length: Int64
  /// Who holds it, in an answer.
  public var process: Int32
  /// A lock of the given parts.
  public init(kind: Int16, whence: Int16, start: Int64, length: Int64, process: Int32 = 0) {
    self.kind = kind
    self.whence = whence
    self.start = start
    self.length = length
    self.process = process
  }
}

/// Locks on one inode: `flock`'s by open file, `fcntl`'s by descriptor table.
///
/// `Deviation:` no deadlock is found (`EDEADLK`).
final class FileLocks: Archivable {
  fileprivate struct Held {
    weak var owner: AnyObject?
    var process: Int32
    var isExclusive: Bool
    var start: Int64
    /// The last byte.
    var end: Int64
  }
  private var records: [Held] = []
  fileprivate struct Flock {
    weak var owner: AnyObject?
    var isExclusive: Bool
  }
  private var flocks: [Flock] = []
  private(set) var queue = WaitQueue()

  /// Whether nobody holds or wants a lock.
  var isIdle: Bool { records.isEmpty && flocks.isEmpty && queue.isEmpty }

  init() {}

  package init(placeholderFor a: Archive) {}

  package func archive(_ a: Archive) {
    a("records", &records)
    a("flocks", &flocks)
    a.ref("queue", &queue)
  }

  func releaseFlock(_ owner: AnyObject) {
    guard flocks.contains(where: { $0.owner == nil || $0.owner === owner }) else { return }
    // Of one that is just going nothing is known any more.
    flocks.removeAll { $0.owner == nil || $0.owner === owner }
    queue.wakeAll()
  }

  func releaseRecords(_ owner: AnyObject) {
    guard records.contains(where: { $0.owner == nil || $0.owner === owner }) else { return }
    records.removeAll { $0.owner == nil || $0.owner === owner }
    queue.wakeAll()
  }

  func flock(_ owner: AnyObject, isExclusive: Bool) throws(Errno) {
    // As in Linux a conversion first gives up what was held.
    releaseFlock(owner)
    guard !flocks.contains(where: { $0.isExclusive || isExclusive }) else { throw .EAGAIN }
    flocks.append(Flock(owner: owner, isExclusive: isExclusive))
  }

  private func conflict(
    _ owner: AnyObject, _ exclusive: Bool, _ range: ClosedRange<Int64>
  )
    -> Held?
  {
    records.first {
      $0.owner !== owner && ($0.isExclusive || exclusive) && $0.start <= range.upperBound
        && $0.end >= range.lowerBound
    }
  }

  func test(
    _ owner: AnyObject, exclusive: Bool, _ range: ClosedRange<Int64>
  )
    -> RecordLock?
  {
    conflict(owner, exclusive, range).map {
      RecordLock(
        kind: $0.isExclusive ? 1 : 0, whence: 0, start: $0.start,
        length: $0.end == .max ? 0 : $0.end &- $0.start &+ 1, process: $0.process)
    }
  }

  /// `exclusive` `nil` unlocks.
  func set(
    _ owner: AnyObject, process: Int32, exclusive: Bool?, _ range: ClosedRange<Int64>
  ) throws(Errno) {
    if let exclusive, conflict(owner, exclusive, range) != nil { throw .EAGAIN }
    var kept: [Held] = []
    for held in records {
      guard held.owner === owner, held.start <= range.upperBound, held.end >= range.lowerBound
      else {
        kept.append(held)
        continue
      }
      if held.start < range.lowerBound {
        var before = held
        before.end = range.lowerBound &- 1
        kept.append(before)
      }
      if held.end > range.upperBound {
        var after = held
        after.start = range.upperBound &+ 1
        kept.append(after)
      }
    }
    if let exclusive {
      kept.append(
        Held(
          owner: owner, process: process, isExclusive: exclusive, start: range.lowerBound,
          end: range.upperBound))
    }
    guard kept.count <= 4096 else { throw .ENOLCK }
    records = kept
    queue.wakeAll()
  }
}

extension OpenFile {
  /// Who waits for a lock on this file.
  public var lockQueue: WaitQueue { inode.locks.queue }

  /// `flock`: 1 `LOCK_SH`, 2 `LOCK_EX`, 8 `LOCK_UN`, with or without 4 `LOCK_NB`.
  ///
  /// - Throws: `EAGAIN` where it has to wait on ``lockQueue``, whatever `LOCK_NB` says.
  public func flock(_ operation: Int32) throws(Errno) {
    guard !flags.contains(.path) else { throw .EBADF }
    switch operation & ~4 {
    case 1: try inode.locks.flock(self, isExclusive: false)
    case 2: try inode.locks.flock(self, isExclusive: true)
    case 8: inode.locks.releaseFlock(self)
    default: throw .EINVAL
    }
  }

  /// `fcntl(F_GETLK)`: the lock in the way, or the same with `F_UNLCK`.
  public func testLock(_ lock: RecordLock, _ table: FileTable) throws(Errno) -> RecordLock {
    guard !flags.contains(.path) else { throw .EBADF }
    guard lock.kind == 0 || lock.kind == 1 else { throw .EINVAL }
    let range = try range(lock)
    if let held = inode.locks.test(table, exclusive: lock.kind == 1, range) {
      return held
    }
    var free = lock
    free.kind = 2
    return free
  }

  /// `fcntl(F_SETLK, F_SETLKW)`.
  ///
  /// - Throws: `EAGAIN` where it has to wait on ``lockQueue`` (`F_SETLKW`) or fails (`F_SETLK`).
  public func setLock(_ lock: RecordLock, _ table: FileTable) throws(Errno) {
    guard !flags.contains(.path) else { throw .EBADF }
    let range = try range(lock)
    let exclusive: Bool?
    switch lock.kind {
    case 0:
      guard isReadable else { throw .EBADF }
      exclusive = false
    case 1:
      guard isWritable else { throw .EBADF }
      exclusive = true
    case 2: exclusive = nil
    default: throw .EINVAL
    }
    try inode.locks.set(
      table, process: lock.process, exclusive: exclusive, range)
  }

  private func range(_ lock: RecordLock) throws(Errno) -> ClosedRange<Int64> {
    let base: Int64
    switch lock.whence {
    case 0: base = 0
    case 1: base = Int64(clamping: offset)
    case 2: base = Int64(clamping: inode.size)
    default: throw .EINVAL
    }
    let (start, overflow) = base.addingReportingOverflow(lock.start)
    guard !overflow else { throw .EOVERFLOW }
    if lock.length < 0 {
      let (first, wrapped) = start.addingReportingOverflow(lock.length)
      guard !wrapped, first >= 0, start >= 1 else { throw .EINVAL }
      return first...(start &- 1)
    }
    guard start >= 0 else { throw .EINVAL }
    if lock.length == 0 { return start...Int64.max }
    let (end, tooFar) = start.addingReportingOverflow(lock.length &- 1)
    guard !tooFar else { throw .EOVERFLOW }
    return start...end
  }
}

extension FileLocks.Held: Archived {
  package static func placeholder(_ a: Archive) -> FileLocks.Held {
    FileLocks.Held(owner: nil, process: 0, isExclusive: false, start: 0, end: 0)
  }
  package mutating func archive(_ a: Archive) {
    var owner = self.owner
    a.any("owner", &owner)
    if a.isReading { self.owner = owner }
    a("process", &process)
    a("isExclusive", &isExclusive)
    a("start", &start)
    a("end", &end)
  }
}

extension FileLocks.Flock: Archived {
  package static func placeholder(_ a: Archive) -> FileLocks.Flock {
    FileLocks.Flock(owner: nil, isExclusive: false)
  }
  package mutating func archive(_ a: Archive) {
    var owner = self.owner
    a.any("owner", &owner)
    if a.isReading { self.owner = owner }
    a("isExclusive", &isExclusive)
  }
}
