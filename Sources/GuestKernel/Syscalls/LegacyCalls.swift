import Engine

extension SyscallTable {
  /// Calls of older tables that guest kernel text turns into newer ones, by what it makes of them.
  ///
  /// - SeeAlso: `images/kernel/arch/x86_64/legacy.c`
  static let legacyAliases = [
    "open": "openat", "creat": "openat", "stat": "newfstatat", "lstat": "newfstatat",
    "access": "faccessat", "pipe": "pipe2", "dup2": "dup3",
    "rename": "renameat2", "renameat": "renameat2", "mkdir": "mkdirat", "rmdir": "unlinkat",
    "link": "linkat", "unlink": "unlinkat", "symlink": "symlinkat", "readlink": "readlinkat",
    "chmod": "fchmodat", "chown": "fchownat", "lchown": "fchownat", "mknod": "mknodat",
    "epoll_create": "epoll_create1", "epoll_wait": "epoll_pwait", "eventfd": "eventfd2",
    "signalfd": "signalfd4", "inotify_init": "inotify_init1",
  ]

  /// Calls that only older tables have.
  static let legacyRows: [SyscallRow] = [
    SyscallRow("select") { call in
      let deadline = try call.deadline {
        call[4] == 0 ? nil : call.after(try LegacyCalls.timeout(try call.read(call[4], 16)))
      }
      let result = try PollCalls.select(call, deadline: deadline, mask: nil)
      if let deadline {
        let now = call.kernel.now
        try? call.write(call[4], ABI.timeval(deadline > now ? deadline - now : 0))
      }
      return result
    },
    SyscallRow("alarm", LegacyCalls.alarm),
    SyscallRow("time") { call in
      let seconds = Int64(call.kernel.realtime / ABI.second)
      if call[0] != 0 { try call.store(call[0], seconds) }
      return seconds
    },
    SyscallRow("getdents", LegacyCalls.getdents),
    SyscallRow("utime") { call in
      try LegacyCalls.times(call, path: 0, call[1] == 0 ? nil : try call.read(call[1], 16)) {
        .at(try LegacyCalls.nanoseconds($0.get($1 * 8, Int64.self), 0))
      }
    },
    SyscallRow("utimes") { call in
      try LegacyCalls.times(
        call, path: 0, call[1] == 0 ? nil : try call.read(call[1], 32), LegacyCalls.timeval)
    },
    SyscallRow("futimesat") { call in
      var times: [FileTime] = [.now, .now]
      if call[2] != 0 {
        let bytes = try call.read(call[2], 32)
        times = [try LegacyCalls.timeval(bytes, 0), try LegacyCalls.timeval(bytes, 1)]
      }
      return try PathCalls.setTimes(call, times, flags: 0)
    },
    // Segment bases are the hart's: guest kernel text changes them after this.
    SyscallRow("arch_prctl", partial: "segment bases; no shadow stacks, no CPUID faulting") {
      call in
      guard (0x1001...0x1004).contains(call.int(0)) else { throw Errno.EINVAL }
      return 0
    },
  ]
}

/// Handlers of calls that only older tables have.
enum LegacyCalls {
  /// A `struct timeval` as a duration; more than a second of microseconds is allowed.
  ///
  /// - SeeAlso: Linux, `fs/select.c`, `kern_select`
  static func timeout(_ bytes: [UInt8]) throws -> UInt64 {
    let seconds = bytes.get(0, Int64.self)
    let microseconds = bytes.get(8, Int64.self)
    guard seconds >= 0, microseconds >= 0 else { throw Errno.EINVAL }
    return ABI.clamp(
      UInt64(seconds) &+ UInt64(microseconds) / 1_000_000, ABI.second,
      UInt64(microseconds) % 1_000_000 * 1000)
  }

  /// - SeeAlso: Linux, `kernel/time/itimer.c`, `alarm_setitimer`
  @Sendable static func alarm(_ call: SyscallCall) throws -> Int64 {
    call.kernel.account(call.task)
    let old = call.kernel.intervalTimer(call.process, 0).left
    call.kernel.setIntervalTimer(
      call.process, 0, value: UInt64(call.uint(0)) &* ABI.second, interval: 0)
    // A part of a second counts as one where nothing else is left, and is rounded else.
    let seconds = old / ABI.second
    let rest = old % ABI.second
    return Int64(seconds) + (rest >= ABI.second / 2 || seconds == 0 && rest > 0 ? 1 : 0)
  }

  /// `struct linux_dirent`: as `struct linux_dirent64`, but the type comes last.
  ///
  /// - SeeAlso: Linux, `fs/readdir.c`, `filldir`
  @Sendable static func getdents(_ call: SyscallCall) throws -> Int64 {
    let file = try call.file(0)
    let position = file.offset
    // A name and its NUL take one byte less in front and one more behind: no record gets longer.
    let entries = try file.readDirectory(Int(min(call.uint(2), 65_536)))
    var bytes = [UInt8](repeating: 0, count: entries.count)
    var at = 0
    while at + 19 <= entries.count {
      let length = Int(entries.get(at + 16, UInt16.self))
      guard length >= 20, at + length <= entries.count else { break }
      for index in 0..<18 { bytes[at + index] = entries[at + index] }
      for index in 19..<length { bytes[at + index - 1] = entries[at + index] }
      bytes[at + length - 1] = entries[at + 18]
      at += length
    }
    do {
      try call.write(call[1], bytes)
    } catch {
      file.offset = position
      throw error
    }
    return Int64(bytes.count)
  }

  static func nanoseconds(_ seconds: Int64, _ rest: Int64) throws -> Int64 {
    let (product, overflow) = seconds.multipliedReportingOverflow(by: Int64(ABI.second))
    let (sum, carry) = product.addingReportingOverflow(rest)
    return overflow || carry ? (seconds < 0 ? .min : .max) : sum
  }

  /// The `index`th `struct timeval`.
  static func timeval(_ bytes: [UInt8], _ index: Int) throws -> FileTime {
    let microseconds = bytes.get(index * 16 + 8, Int64.self)
    guard microseconds >= 0, microseconds < 1_000_000 else { throw Errno.EINVAL }
    return .at(try nanoseconds(bytes.get(index * 16, Int64.self), microseconds * 1000))
  }

  /// Sets the times of the path in an argument; without bytes both to now.
  static func times(
    _ call: SyscallCall, path: Int, _ bytes: [UInt8]?, _ time: ([UInt8], Int) throws -> FileTime
  ) throws -> Int64 {
    var times: [FileTime] = [.now, .now]
    if let bytes { times = [try time(bytes, 0), try time(bytes, 1)] }
    let dentry = try call.vfs.resolve(Path(try call.path(path)), call.context)
    try call.vfs.setTimes(dentry, accessed: times[0], modified: times[1], call.context)
    return 0
  }
}
