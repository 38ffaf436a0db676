extension SyscallTable {
  /// Calls about open files.
  static let fileRows: [SyscallRow] = [
    SyscallRow("fstat") { call in
      try call.write(
        call[1], ABI.stat(call.rawFile(0).inode.attributes(), call.kernel.isa.statLayout))
      return 0
    },
    SyscallRow("fstatfs") { call in
      try call.write(call[1], ABI.statfs(call.vfs.statistics(try call.rawFile(0).dentry)))
      return 0
    },
    SyscallRow("lseek") { try $0.file(0).seek($0.long(1), $0.int(2)) },
    SyscallRow("getdents64") { call in
      let file = try call.file(0)
      let position = file.offset
      let bytes = try file.readDirectory(Int(min(call.uint(2), 65_536)))
      do {
        try call.write(call[1], bytes)
      } catch {
        file.offset = position
        throw error
      }
      return Int64(bytes.count)
    },
    SyscallRow("ftruncate") { call in
      guard call.long(1) >= 0 else { throw Errno.EINVAL }
      try call.file(0).truncate(to: call.long(1))
      return 0
    },
    SyscallRow("fallocate") { call in
      try call.file(0).allocate(mode: call.int(1), call.long(2), call.long(3))
      return 0
    },
    SyscallRow("fchmod") { call in
      try call.vfs.setMode(call.file(0).dentry, call.uint(1) & 0o7777, call.context)
      return 0
    },
    SyscallRow("fchown") { call in
      try call.vfs.setOwner(
        call.file(0).dentry, uid: call.uint(1), gid: call.uint(2), call.context)
      return 0
    },
    SyscallRow("fsync") {
      try $0.file(0).sync()
      return 0
    },
    SyscallRow("fdatasync") {
      try $0.file(0).sync()
      return 0
    },
    SyscallRow("sync") { _ in 0 },
    SyscallRow("syncfs") {
      _ = try $0.file(0)
      return 0
    },
    SyscallRow("sync_file_range") { call in
      guard call.long(1) >= 0, call.long(2) >= 0, call.uint(3) & ~7 == 0 else {
        throw Errno.EINVAL
      }
      guard try call.file(0).inode.isSeekable else { throw Errno.ESPIPE }
      return 0
    },
    SyscallRow("fadvise64") { call in
      let file = try call.file(0)
      guard file.inode.kind != .fifo else { throw Errno.ESPIPE }
      guard call.int(3) >= 0, call.int(3) <= 5, call.long(2) >= 0 else { throw Errno.EINVAL }
      return 0
    },
    SyscallRow("readahead") { call in
      guard try call.file(0).isReadable else { throw Errno.EBADF }
      guard try call.file(0).inode.isSeekable else { throw Errno.EINVAL }
      return 0
    },
    SyscallRow("flock") { call in
      let file = try call.file(0)
      do throws(Errno) {
        try file.flock(call.int(1))
      } catch {
        guard error == .EAGAIN, call.int(1) & 4 == 0 else { throw error }
        try call.wait(on: [file.lockQueue], until: nil)
      }
      return 0
    },
  ]

  /// Calls about descriptors.
  static let descriptorRows: [SyscallRow] = [
    SyscallRow("close") {
      try $0.files.close($0.int(0))
      return 0
    },
    SyscallRow("close_range") { call in
      guard call.uint(0) <= call.uint(1), call.uint(2) & ~6 == 0 else { throw Errno.EINVAL }
      if call.uint(2) & 2 != 0 { call.kernel.unshareFiles(call.task) }
      try call.files.closeRange(call.uint(0), call.uint(1), flags: call.uint(2) & 4)
      return 0
    },
    SyscallRow("dup") { Int64(try $0.files.duplicate($0.int(0))) },
    SyscallRow("dup2") { Int64(try $0.files.dup2($0.int(0), $0.int(1))) },
    SyscallRow("dup3") {
      Int64(try $0.files.dup3($0.int(0), $0.int(1), flags: OpenFlags(rawValue: $0.int(2))))
    },
    SyscallRow("fcntl", partial: "no leases, no signal-driven input", DescriptorCalls.fcntl),
    SyscallRow("ioctl", DescriptorCalls.ioctl),
    SyscallRow("pipe2") { call in
      let flags = OpenFlags(rawValue: call.int(1))
      guard flags.subtracting([.closeOnExec, .nonBlock, .direct]).isEmpty else {
        throw Errno.EINVAL
      }
      try call.checkUser(call[0], 8)
      let ends = try call.vfs.makePipe(flags.subtracting(.closeOnExec))
      return try DescriptorCalls.hand(
        call, ends, to: call[0], closeOnExec: flags.contains(.closeOnExec))
    },
    SyscallRow("memfd_create", partial: "no huge pages, no seals") { call in
      guard call.uint(1) & ~0x1f == 0 else { throw Errno.EINVAL }
      guard call.uint(1) & 4 == 0 else { throw Errno.EINVAL }
      let name: [UInt8]
      do {
        name = try call.string(call[0], max: 250)
      } catch Errno.ENAMETOOLONG {
        throw Errno.EINVAL
      }
      let file = try call.vfs.makeMemoryFile(Path(name))
      return Int64(try call.files.allocate(file, closeOnExec: call.uint(1) & 1 != 0))
    },
  ]
}

/// Handlers of calls about descriptors.
enum DescriptorCalls {
  /// Gives two files descriptors and tells the program which.
  static func hand(
    _ call: SyscallCall, _ files: (OpenFile, OpenFile), to va: UInt64, closeOnExec: Bool
  ) throws -> Int64 {
    let (first, second) = try call.files.allocate(files, closeOnExec: closeOnExec)
    var bytes = [UInt8](repeating: 0, count: 8)
    bytes.put(0, first)
    bytes.put(4, second)
    do {
      try call.write(va, bytes)
    } catch {
      try? call.files.close(first)
      try? call.files.close(second)
      throw error
    }
    return 0
  }

  /// - SeeAlso: fcntl(2); Linux, `fs/fcntl.c`, `do_fcntl`
  @Sendable static func fcntl(_ call: SyscallCall) throws -> Int64 {
    let fd = call.int(0)
    let file = try call.files.raw(fd)
    switch call.int(1) {
    case 0: return Int64(try call.files.duplicate(fd, lowest: call.int(2)))
    case 1030:
      return Int64(try call.files.duplicate(fd, lowest: call.int(2), closeOnExec: true))
    case 1: return try call.files.closeOnExec(fd) ? 1 : 0
    case 2:
      try call.files.setCloseOnExec(fd, call[2] & 1 != 0)
      return 0
    case 3: return Int64(UInt32(bitPattern: file.flags.rawValue))
    default: break
    }
    guard !file.flags.contains(.path) else { throw Errno.EBADF }
    switch call.int(1) {
    case 4:
      try file.setStatusFlags(OpenFlags(rawValue: call.int(2)))
      return 0
    case 5, 36:
      let found = try file.testLock(try lock(call), call.files)
      var bytes = try call.read(call[2], 32)
      bytes.put(0, found.kind)
      if found.kind != 2 {
        bytes.put(2, found.whence)
        bytes.put(8, found.start)
        bytes.put(16, found.length)
        bytes.put(24, found.process)
      }
      try call.write(call[2], bytes)
      return 0
    case 6, 7, 37, 38:
      do throws(Errno) {
        try file.setLock(try lock(call), call.files)
      } catch {
        guard error == .EAGAIN, call.int(1) == 7 || call.int(1) == 38 else { throw error }
        try call.wait(on: [file.lockQueue], until: nil)
      }
      return 0
    case 8, 10, 15: return 0
    case 9, 11, 1025: return 0
    case 16:
      try call.write(call[2], [UInt8](repeating: 0, count: 8))
      return 0
    case 1031: return Int64(try file.setPipeSize(call[2]))
    case 1032: return Int64(try file.pipeSize())
    case 1034: return 1
    default: throw Errno.EINVAL
    }
  }

  /// A `struct flock`.
  private static func lock(_ call: SyscallCall) throws(Errno) -> RecordLock {
    let bytes = try call.space.read(call[2], 32)
    return RecordLock(
      kind: bytes.get(0, Int16.self), whence: bytes.get(2, Int16.self),
      start: bytes.get(8, Int64.self), length: bytes.get(16, Int64.self),
      process: call.process.pid)
  }

  private static let TIOCSCTTY: UInt32 = 0x540e, TIOCGPGRP: UInt32 = 0x540f
  private static let TIOCSPGRP: UInt32 = 0x5410, TIOCNOTTY: UInt32 = 0x5422
  private static let TIOCGSID: UInt32 = 0x5429, TCGETS: UInt32 = 0x5401
  private static let FIONBIO: UInt32 = 0x5421

  /// Job control is the kernel's; everything else the file's own.
  @Sendable static func ioctl(_ call: SyscallCall) throws -> Int64 {
    let file = try call.file(0)
    let kernel = call.kernel
    switch call.uint(1) {
    case FIONBIO:
      let on = try call.load(call[2], as: Int32.self) != 0
      var flags = file.flags
      if on { flags.insert(.nonBlock) } else { flags.remove(.nonBlock) }
      try file.setStatusFlags(flags)
      return 0
    case TIOCGPGRP where isTerminal(file):
      try call.store(call[2], kernel.foregroundGroup)
      return 0
    case TIOCSPGRP where isTerminal(file):
      let pgid = try call.load(call[2], as: Int32.self)
      guard pgid >= 0 else { throw Errno.EINVAL }
      let members = kernel.processes.values.filter { $0.pgid == pgid }
      guard !members.isEmpty else { throw Errno.ESRCH }
      guard members.contains(where: { $0.sid == call.process.sid }) else { throw Errno.EPERM }
      try stopBackground(call)
      kernel.foregroundGroup = pgid
      return 0
    case TIOCGSID where isTerminal(file):
      try call.store(call[2], kernel.terminalSession)
      return 0
    case TIOCSCTTY where isTerminal(file):
      guard call.process.sid == call.process.pid else { throw Errno.EPERM }
      kernel.terminalSession = call.process.sid
      kernel.foregroundGroup = call.process.pgid
      return 0
    case TIOCNOTTY where isTerminal(file):
      return 0
    default:
      return Int64(try call.files.ioctl(call.int(0), call.uint(1), call[2], call.space))
    }
  }

  /// A background process that would change the terminal is stopped (`tty_check_change`).
  private static func stopBackground(_ call: SyscallCall) throws {
    let process = call.process
    let kernel = call.kernel
    guard process.pgid != kernel.foregroundGroup, process.sid == kernel.terminalSession,
      !call.task.blocked.contains(Signal.SIGTTOU),
      call.task.handlers[Signal.SIGTTOU].handler != SignalAction.ignore
    else { return }
    guard !kernel.isOrphanedGroup(process.pgid) else { throw Errno.EIO }
    kernel.send(Signal.SIGTTOU, toGroup: process.pgid)
    throw Errno.ERESTARTSYS
  }

  static func isTerminal(_ file: OpenFile) -> Bool {
    guard file.inode.kind == .character else { return false }
    return (try? file.ioctl(TCGETS, 0, ScratchMemory())) != nil
  }
}

/// Takes what is written and holds zeroes: for asking a device without a program.
private final class ScratchMemory: UserMemory {
  func read(_ va: UInt64, _ count: Int) throws(Errno) -> [UInt8] {
    [UInt8](repeating: 0, count: min(max(count, 0), 4096))
  }
  func write(_ va: UInt64, _ bytes: [UInt8]) throws(Errno) {}
}

extension Kernel {
  /// Gives a task descriptors of its own.
  func unshareFiles(_ task: Task) {
    guard task.files.users > 1 else { return }
    let copy = task.files.clone()
    drop(task.files)
    task.files = copy
    retain(copy)
  }
}
