extension SyscallTable {
  /// Calls that take paths.
  static let pathRows: [SyscallRow] =
    [
      SyscallRow("openat") { call in
        try PathCalls.open(call, flags: call.int(2), mode: call.uint(3), lookup: [])
      },
      SyscallRow("openat2", PathCalls.openat2),
      SyscallRow("mkdirat") { call in
        let (path, base) = try call.place(0, 1)
        try call.vfs.makeDirectory(path, mode: call.uint(2), call.context, from: base)
        return 0
      },
      SyscallRow("mknodat") { call in
        let (path, base) = try call.place(0, 1)
        try call.vfs.makeNode(
          path, mode: call.uint(2), device: UInt64(call.uint(3)), call.context, from: base)
        return 0
      },
      SyscallRow("symlinkat") { call in
        let target = Path(try call.path(0))
        let (path, base) = try call.place(1, 2)
        try call.vfs.makeSymlink(target, path, call.context, from: base)
        return 0
      },
      SyscallRow("linkat", PathCalls.link),
      SyscallRow("unlinkat") { call in
        let flags = call.int(2)
        guard flags & ~SyscallCall.AT_REMOVEDIR == 0 else { throw Errno.EINVAL }
        let (path, base) = try call.place(0, 1)
        if flags != 0 {
          try call.vfs.removeDirectory(path, call.context, from: base)
        } else {
          try call.vfs.unlink(path, call.context, from: base)
        }
        return 0
      },
      SyscallRow("renameat") { try PathCalls.rename($0, flags: 0) },
      SyscallRow("renameat2", partial: "no RENAME_WHITEOUT") { call in
        guard call.uint(4) & ~7 == 0, call.uint(4) & 3 != 3, call.uint(4) & 6 != 6 else {
          throw Errno.EINVAL
        }
        guard call.uint(4) & 4 == 0 else { throw Errno.EINVAL }
        return try PathCalls.rename(call, flags: call.uint(4))
      },
      SyscallRow("readlinkat") { call in
        guard call.int(3) > 0 else { throw Errno.EINVAL }
        let path = Path(try call.path(1, mayBeEmpty: true))
        let base =
          path.isEmpty ? try call.rawFile(0).dentry : try call.files.base(call.int(0), path)
        let target = try call.vfs.readlink(path, call.context, from: base)
        let bytes = Array(target.bytes.prefix(Int(call.int(3))))
        try call.write(call[2], bytes)
        return Int64(bytes.count)
      },
      SyscallRow("faccessat") { try PathCalls.access($0, flags: 0) },
      SyscallRow("faccessat2") { call in
        let known =
          SyscallCall.AT_EACCESS | SyscallCall.AT_SYMLINK_NOFOLLOW | SyscallCall.AT_EMPTY_PATH
        guard call.int(3) & ~known == 0 else { throw Errno.EINVAL }
        return try PathCalls.access(call, flags: call.int(3))
      },
      SyscallRow("chdir") { call in
        try call.vfs.changeDirectory(Path(try call.path(0)), call.context)
        return 0
      },
      SyscallRow("fchdir") { call in
        try call.vfs.changeDirectory(to: try call.rawFile(0), call.context)
        return 0
      },
      SyscallRow("getcwd") { call in
        let path = try call.vfs.currentDirectory(call.context).bytes + [0]
        guard UInt64(path.count) <= call[1] else { throw Errno.ERANGE }
        try call.write(call[0], path)
        return Int64(path.count)
      },
      SyscallRow("truncate") { call in
        guard call.long(1) >= 0 else { throw Errno.EINVAL }
        try call.vfs.truncate(Path(try call.path(0)), to: call.long(1), call.context)
        return 0
      },
      SyscallRow("fchmodat") { try PathCalls.setMode($0, flags: 0) },
      SyscallRow("fchmodat2") { call in
        guard call.int(3) & ~0x1100 == 0 else { throw Errno.EINVAL }
        return try PathCalls.setMode(call, flags: call.int(3))
      },
      SyscallRow("fchownat") { call in
        guard call.int(4) & ~0x1100 == 0 else { throw Errno.EINVAL }
        let dentry = try call.resolve(0, 1, flags: call.int(4))
        try call.vfs.setOwner(dentry, uid: call.uint(2), gid: call.uint(3), call.context)
        return 0
      },
      SyscallRow("utimensat", PathCalls.utimens),
      SyscallRow("newfstatat") { call in
        guard call.int(3) & ~0x1900 == 0 else { throw Errno.EINVAL }
        let dentry = try call.resolve(0, 1, flags: call.int(3))
        try call.write(call[2], ABI.stat(dentry.inode.attributes(), call.kernel.isa.statLayout))
        return 0
      },
      SyscallRow("statx") { call in
        guard call.int(2) & ~0x7900 == 0, call.uint(3) & 0x8000_0000 == 0 else {
          throw Errno.EINVAL
        }
        let dentry = try call.resolve(0, 1, flags: call.int(2))
        try call.write(call[4], ABI.statx(dentry.inode.attributes()))
        return 0
      },
      SyscallRow("statfs") { call in
        let dentry = try call.vfs.resolve(Path(try call.path(0)), call.context)
        try call.write(call[1], ABI.statfs(call.vfs.statistics(dentry)))
        return 0
      },
    ]
    + [
      "setxattr", "lsetxattr", "getxattr", "lgetxattr", "listxattr", "llistxattr", "removexattr",
      "lremovexattr",
    ].map { name in
      SyscallRow(name, .partial("no file system has extended attributes")) { call in
        _ = try call.vfs.resolve(Path(try call.path(0)), call.context)
        throw Errno.EOPNOTSUPP
      }
    }
    + ["fsetxattr", "fgetxattr", "flistxattr", "fremovexattr"].map { name in
      SyscallRow(name, .partial("no file system has extended attributes")) { call in
        _ = try call.file(0)
        throw Errno.EOPNOTSUPP
      }
    }
}

/// Handlers of calls that take paths.
enum PathCalls {
  /// Opens; a FIFO may have to wait for its other side.
  static func open(
    _ call: SyscallCall, flags: Int32, mode: UInt32, lookup: LookupFlags
  ) throws
    -> Int64
  {
    let flags = OpenFlags(rawValue: flags).intersection(.valid)
    let file: OpenFile
    if let opened = call.progress.object as? OpenFile {
      file = opened
    } else {
      let (path, base) = try call.place(0, 1)
      file = try call.vfs.open(
        path, flags, mode: mode & 0o7777, call.context, from: base, lookup: lookup)
    }
    if let queue = file.openQueue {
      call.progress = Progress(object: file)
      try call.wait(on: [queue], until: nil)
    }
    return Int64(try call.files.allocate(file, closeOnExec: flags.contains(.closeOnExec)))
  }

  @Sendable static func openat2(_ call: SyscallCall) throws -> Int64 {
    let size = call[3]
    guard size >= 24 else { throw Errno.EINVAL }
    guard size <= 4096 else { throw Errno.E2BIG }
    let bytes = try call.read(call[2], Int(size))
    guard !bytes.dropFirst(24).contains(where: { $0 != 0 }) else { throw Errno.E2BIG }
    let flags = bytes.get(0, UInt64.self)
    let mode = bytes.get(8, UInt64.self)
    let resolve = bytes.get(16, UInt64.self)
    guard flags & ~UInt64(OpenFlags.valid.rawValue) == 0, resolve & ~0x3f == 0 else {
      throw Errno.EINVAL
    }
    let creates = flags & 0o20000100 != 0
    guard mode & ~0o7777 == 0, creates || mode == 0 else { throw Errno.EINVAL }
    guard resolve & 0x18 != 0x18 else { throw Errno.EINVAL }
    if resolve & 0x20 != 0 { throw Errno.EAGAIN }
    var lookup: LookupFlags = []
    if resolve & 1 != 0 { lookup.insert(.noCrossing) }
    if resolve & 2 != 0 { lookup.insert(.noMagicLinks) }
    if resolve & 4 != 0 { lookup.insert(.noSymlinks) }
    if resolve & 8 != 0 { lookup.insert(.beneath) }
    if resolve & 16 != 0 { lookup.insert(.inRoot) }
    return try open(
      call, flags: Int32(truncatingIfNeeded: flags), mode: UInt32(mode), lookup: lookup)
  }

  @Sendable static func link(_ call: SyscallCall) throws -> Int64 {
    let flags = call.int(4)
    guard flags & ~(SyscallCall.AT_SYMLINK_FOLLOW | SyscallCall.AT_EMPTY_PATH) == 0 else {
      throw Errno.EINVAL
    }
    var lookup: LookupFlags = []
    if flags & SyscallCall.AT_SYMLINK_FOLLOW != 0 { lookup.insert(.follow) }
    if flags & SyscallCall.AT_EMPTY_PATH != 0 { lookup.insert(.emptyPath) }
    let old = Path(try call.path(1, mayBeEmpty: lookup.contains(.emptyPath)))
    let oldBase =
      old.isEmpty ? try call.rawFile(0).dentry : try call.files.base(call.int(0), old)
    let (new, newBase) = try call.place(2, 3)
    try call.vfs.link(
      old, from: oldBase, to: new, from: newBase, flags: lookup, call.context)
    return 0
  }

  static func rename(_ call: SyscallCall, flags: UInt32) throws -> Int64 {
    let (old, oldBase) = try call.place(0, 1)
    let (new, newBase) = try call.place(2, 3)
    try call.vfs.rename(
      old, from: oldBase, to: new, from: newBase, flags: flags, call.context)
    return 0
  }

  static func access(_ call: SyscallCall, flags: Int32) throws -> Int64 {
    guard call.uint(2) & ~7 == 0 else { throw Errno.EINVAL }
    let isEmptyAllowed = flags & SyscallCall.AT_EMPTY_PATH != 0
    let path = Path(try call.path(1, mayBeEmpty: isEmptyAllowed))
    var lookup: LookupFlags = flags & SyscallCall.AT_SYMLINK_NOFOLLOW == 0 ? .follow : []
    if isEmptyAllowed { lookup.insert(.emptyPath) }
    var base = try call.files.base(call.int(0), path)
    if path.isEmpty, call.int(0) != SyscallCall.AT_FDCWD { base = try call.rawFile(0).dentry }
    try call.vfs.access(path, mode: call.uint(2), call.context, from: base, flags: lookup)
    return 0
  }

  static func setMode(_ call: SyscallCall, flags: Int32) throws -> Int64 {
    let dentry = try call.resolve(0, 1, flags: flags)
    try call.vfs.setMode(dentry, call.uint(2) & 0o7777, call.context)
    return 0
  }

  /// - SeeAlso: utimensat(2)
  @Sendable static func utimens(_ call: SyscallCall) throws -> Int64 {
    guard call.int(3) & ~0x1100 == 0 else { throw Errno.EINVAL }
    var times: [FileTime] = [.now, .now]
    if call[2] != 0 {
      let bytes = try call.read(call[2], 32)
      times = try [0, 16].map { try time(bytes, $0) }
    }
    return try setTimes(call, times, flags: call.int(3))
  }

  /// Sets the times of the descriptor in the first argument, or of the path in the second.
  static func setTimes(_ call: SyscallCall, _ times: [FileTime], flags: Int32) throws -> Int64 {
    if times == [.omit, .omit] { return 0 }
    let dentry: Dentry
    if call[1] == 0 {
      guard call.int(0) != SyscallCall.AT_FDCWD else { throw Errno.EFAULT }
      dentry = try call.file(0).dentry
    } else {
      dentry = try call.resolve(0, 1, flags: flags)
    }
    try call.vfs.setTimes(dentry, accessed: times[0], modified: times[1], call.context)
    return 0
  }

  private static func time(_ bytes: [UInt8], _ offset: Int) throws -> FileTime {
    let nanoseconds = bytes.get(offset + 8, Int64.self)
    if nanoseconds == 0x3fff_ffff { return .now }
    if nanoseconds == 0x3fff_fffe { return .omit }
    guard nanoseconds >= 0, nanoseconds < Int64(ABI.second) else { throw Errno.EINVAL }
    let seconds = bytes.get(offset, Int64.self)
    let (product, overflow) = seconds.multipliedReportingOverflow(by: Int64(ABI.second))
    let (sum, carry) = product.addingReportingOverflow(nanoseconds)
    return .at(overflow || carry ? (seconds < 0 ? .min : .max) : sum)
  }
}
