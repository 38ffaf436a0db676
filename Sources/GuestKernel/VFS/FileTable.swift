import Engine

/// The descriptors of a process (`struct files_struct`).
public final class FileTable: Archivable {
  /// `RLIMIT_NOFILE`: descriptors are below it.
  public var limit: UInt64 = 1024
  /// No limit is above it (`fs.nr_open`).
  public static let hardLimit: UInt64 = 1_048_576
  /// `AT_FDCWD`.
  public static let workingDirectory: Int32 = -100

  fileprivate struct Slot {
    var file: OpenFile
    var closeOnExec: Bool
  }
  private var slots: [Slot?] = []
  /// No descriptor below it is free.
  private var firstFree = 0

  /// How many tasks use it.
  @exclusivity(unchecked) var users = 0

  /// A table without descriptors.
  public init() {}

  package init(placeholderFor a: Archive) {}

  package func archive(_ a: Archive) {
    a("limit", &limit)
    a("slots", &slots)
    a("firstFree", &firstFree)
    a("users", &users)
    if a.isReading, slots.count > Self.hardLimit || !(0...slots.count).contains(firstFree) {
      a.fail("a table of \(slots.count) descriptors, the first free one \(firstFree)")
    }
  }

  deinit { closeAll() }

  private func slot(_ fd: Int32) throws(Errno) -> Slot {
    guard fd >= 0, Int(fd) < slots.count, let slot = slots[Int(fd)] else { throw .EBADF }
    return slot
  }

  /// The file of a descriptor, for use.
  ///
  /// - Throws: `EBADF` for a closed descriptor, or one opened with `O_PATH`.
  public subscript(fd: Int32) -> OpenFile {
    get throws(Errno) {
      let file = try slot(fd).file
      guard !file.flags.contains(.path) else { throw .EBADF }
      return file
    }
  }

  /// The file of a descriptor, `O_PATH` or not: `fstat`, `dup`, `close`, `fcntl`, `fchdir`,
  /// `dirfd`s.
  public func raw(_ fd: Int32) throws(Errno) -> OpenFile { try slot(fd).file }

  /// The directory from which `path` is resolved: `nil` (the working directory, or none is needed)
  /// for `AT_FDCWD` and absolute paths.
  public func base(_ dirfd: Int32, _ path: Path) throws(Errno) -> Dentry? {
    path.isAbsolute || dirfd == Self.workingDirectory ? nil : try raw(dirfd).dentry
  }

  /// Open descriptors, ascending.
  public var descriptors: [Int32] {
    slots.indices.filter { slots[$0] != nil }.map { Int32(truncatingIfNeeded: $0) }
  }

  private var bound: Int { Int(min(limit, Self.hardLimit)) }

  /// Gives a file the lowest free descriptor that is at least `lowest`.
  ///
  /// - Throws: `EMFILE`; `EINVAL` where `lowest` is negative or at the limit (`F_DUPFD`).
  public func allocate(
    _ file: OpenFile, lowest: Int32 = 0, closeOnExec: Bool = false
  )
    throws(Errno) -> Int32
  {
    guard lowest >= 0, lowest == 0 || Int(lowest) < bound else { throw .EINVAL }
    var fd = max(Int(lowest), firstFree)
    while fd < slots.count, slots[fd] != nil { fd += 1 }
    guard fd < bound else { throw .EMFILE }
    install(fd, Slot(file: file, closeOnExec: closeOnExec))
    if Int(lowest) <= firstFree { firstFree = fd + 1 }
    return Int32(fd)
  }

  private func install(_ fd: Int, _ slot: Slot) {
    if fd >= slots.count {
      slots.append(contentsOf: repeatElement(nil, count: fd + 1 - slots.count))
    }
    slots[fd] = slot
  }

  /// Takes a descriptor out of the table.
  ///
  /// The file is closed only when the table is no longer being changed: closing wakes others.
  private func take(_ fd: Int) -> OpenFile? {
    guard fd >= 0, fd < slots.count, let slot = slots[fd] else { return nil }
    slots[fd] = nil
    firstFree = min(firstFree, fd)
    slot.file.inode.locks.releaseRecords(self)
    return slot.file
  }

  /// Gives two files descriptors, or none: `pipe2`, `socketpair`.
  public func allocate(
    _ files: (OpenFile, OpenFile), closeOnExec: Bool
  ) throws(Errno) -> (
    Int32, Int32
  ) {
    let first = try allocate(files.0, closeOnExec: closeOnExec)
    do {
      return (first, try allocate(files.1, closeOnExec: closeOnExec))
    } catch {
      _ = take(Int(first))
      throw error
    }
  }

  /// `dup`, `fcntl(F_DUPFD…)`.
  public func duplicate(
    _ fd: Int32, lowest: Int32 = 0, closeOnExec: Bool = false
  ) throws(Errno)
    -> Int32
  { try allocate(raw(fd), lowest: lowest, closeOnExec: closeOnExec) }

  /// `dup2`.
  public func dup2(_ old: Int32, _ new: Int32) throws(Errno) -> Int32 {
    let file = try raw(old)
    if old == new { return new }
    return try replace(new, file, closeOnExec: false)
  }

  /// `dup3`.
  public func dup3(_ old: Int32, _ new: Int32, flags: OpenFlags) throws(Errno) -> Int32 {
    guard flags.subtracting(.closeOnExec).isEmpty, old != new else { throw .EINVAL }
    guard new >= 0, Int(new) < bound else { throw .EBADF }
    return try replace(new, raw(old), closeOnExec: flags.contains(.closeOnExec))
  }

  private func replace(_ fd: Int32, _ file: OpenFile, closeOnExec: Bool) throws(Errno) -> Int32 {
    guard fd >= 0, Int(fd) < bound else { throw .EBADF }
    let before = take(Int(fd))
    install(Int(fd), Slot(file: file, closeOnExec: closeOnExec))
    withExtendedLifetime(before) {}
    return fd
  }

  /// `close`.
  public func close(_ fd: Int32) throws(Errno) {
    guard let file = take(Int(fd)) else { throw .EBADF }
    withExtendedLifetime(file) {}
  }

  /// `close_range`; flags: 4 `CLOSE_RANGE_CLOEXEC` (2, unshare, is the caller's).
  public func closeRange(_ first: UInt32, _ last: UInt32, flags: UInt32) throws(Errno) {
    guard flags & ~6 == 0, first <= last else { throw .EINVAL }
    var fd = Int(first)
    let end = min(Int(last) + 1, slots.count)
    while fd < end {
      if flags & 4 != 0 {
        slots[fd]?.closeOnExec = true
      } else {
        let file = take(fd)
        withExtendedLifetime(file) {}
      }
      fd += 1
    }
  }

  /// Closes everything: the process ends.
  public func closeAll() {
    let all = slots
    slots = []
    firstFree = 0
    for slot in all { slot?.file.inode.locks.releaseRecords(self) }
    withExtendedLifetime(all) {}
  }

  /// Closes what has close-on-exec set.
  public func closeForExec() {
    for fd in slots.indices where slots[fd]?.closeOnExec == true {
      let file = take(fd)
      withExtendedLifetime(file) {}
    }
  }

  /// `fcntl(F_GETFD)`.
  public func closeOnExec(_ fd: Int32) throws(Errno) -> Bool { try slot(fd).closeOnExec }

  /// `fcntl(F_SETFD)`.
  public func setCloseOnExec(_ fd: Int32, _ value: Bool) throws(Errno) {
    _ = try slot(fd)
    slots[Int(fd)]?.closeOnExec = value
  }

  /// `ioctl`.
  public func ioctl(
    _ fd: Int32, _ request: UInt32, _ argument: UInt64, _ memory: any UserMemory
  )
    throws(Errno) -> Int
  {
    let file = try self[fd]
    guard request == IOControl.closeOnExec || request == IOControl.dontCloseOnExec else {
      return try file.ioctl(request, argument, memory)
    }
    try setCloseOnExec(fd, request == IOControl.closeOnExec)
    return 0
  }

  /// A table of the same open files: `fork`.
  public func clone() -> FileTable {
    let copy = FileTable()
    copy.limit = limit
    copy.slots = slots
    copy.firstFree = firstFree
    return copy
  }
}

extension FileTable.Slot: Archived {
  package static func placeholder(_ a: Archive) -> FileTable.Slot {
    FileTable.Slot(file: a.placeholder(OpenFile.self), closeOnExec: false)
  }
  package mutating func archive(_ a: Archive) {
    a.ref("file", &file)
    a("closeOnExec", &closeOnExec)
  }
}
