extension SyscallTable {
  /// Who a task is: numbers, credentials, groups, sessions, limits.
  static let identityRows: [SyscallRow] = [
    SyscallRow("getpid") { Int64($0.process.pid) },
    SyscallRow("gettid") { Int64($0.task.tid) },
    SyscallRow("getppid") { Int64($0.process.parent?.pid ?? 0) },
    SyscallRow("getpgrp") { Int64($0.process.pgid) },
    SyscallRow("getuid") { Int64($0.process.credentials.ruid) },
    SyscallRow("geteuid") { Int64($0.process.credentials.euid) },
    SyscallRow("getgid") { Int64($0.process.credentials.rgid) },
    SyscallRow("getegid") { Int64($0.process.credentials.egid) },
    SyscallRow("getresuid") {
      let who = $0.process.credentials
      try IdentityCalls.store3($0, who.ruid, who.euid, who.suid)
      return 0
    },
    SyscallRow("getresgid") {
      let who = $0.process.credentials
      try IdentityCalls.store3($0, who.rgid, who.egid, who.sgid)
      return 0
    },
    SyscallRow("setuid") { try IdentityCalls.setUsers($0, $0.uint(0), $0.uint(0), $0.uint(0)) },
    SyscallRow("setgid") { try IdentityCalls.setGroups($0, $0.uint(0), $0.uint(0), $0.uint(0)) },
    SyscallRow("setreuid") { try IdentityCalls.setUsers($0, $0.uint(0), $0.uint(1), $0.uint(1)) },
    SyscallRow("setregid") { try IdentityCalls.setGroups($0, $0.uint(0), $0.uint(1), $0.uint(1)) },
    SyscallRow("setresuid") { try IdentityCalls.setUsers($0, $0.uint(0), $0.uint(1), $0.uint(2)) },
    SyscallRow("setresgid") { try IdentityCalls.setGroups($0, $0.uint(0), $0.uint(1), $0.uint(2)) },
    SyscallRow("setfsuid") {
      let old = $0.process.credentials.fsuid
      if $0.uint(0) != .max { $0.process.credentials.fsuid = $0.uint(0) }
      $0.kernel.applyIdentity($0.process)
      return Int64(old)
    },
    SyscallRow("setfsgid") {
      let old = $0.process.credentials.fsgid
      if $0.uint(0) != .max { $0.process.credentials.fsgid = $0.uint(0) }
      $0.kernel.applyIdentity($0.process)
      return Int64(old)
    },
    SyscallRow("getgroups", IdentityCalls.getgroups),
    SyscallRow("setgroups", IdentityCalls.setgroups),
    SyscallRow("setpgid", IdentityCalls.setpgid),
    SyscallRow("getpgid") { Int64(try IdentityCalls.process($0, $0.int(0)).pgid) },
    SyscallRow("setsid", IdentityCalls.setsid),
    SyscallRow("getsid") { Int64(try IdentityCalls.process($0, $0.int(0)).sid) },
    SyscallRow("getrlimit") { try IdentityCalls.limit($0, $0.process, nil, $0[1]) },
    SyscallRow("setrlimit") {
      guard $0[1] != 0 else { throw Errno.EFAULT }
      return try IdentityCalls.limit($0, $0.process, $0[1], 0)
    },
    SyscallRow("prlimit64") {
      let process = try IdentityCalls.process($0, $0.int(0))
      return try IdentityCalls.limit(
        $0, process, $0[2] == 0 ? nil : $0[2], $0[3], resource: $0.uint(1))
    },
    SyscallRow(
      "prctl", partial: "names, death signal, dumpable, subreaper, slack, no_new_privs, keepcaps",
      IdentityCalls.prctl),
    SyscallRow("capget", IdentityCalls.capget),
    SyscallRow("capset") { _ in 0 },
    SyscallRow("umask") {
      let old = $0.task.fs.umask
      $0.task.fs.umask = $0.uint(0) & 0o777
      return Int64(old)
    },
  ]
}

/// Handlers of calls about identity.
enum IdentityCalls {
  static func store3(_ call: SyscallCall, _ a: UInt32, _ b: UInt32, _ c: UInt32) throws {
    for (index, value) in [a, b, c].enumerated() { try call.store(call[index], value) }
  }

  /// The process of a number; 0 is the caller's.
  static func process(_ call: SyscallCall, _ pid: Int32) throws -> Process {
    if pid == 0 { return call.process }
    if let process = call.kernel.processes[pid] { return process }
    guard let task = call.kernel.tasks[pid] else { throw Errno.ESRCH }
    return task.process
  }

  private static func mayBecome(_ id: UInt32, _ privileged: Bool, _ own: [UInt32]) -> Bool {
    id == .max || privileged || own.contains(id)
  }

  static func setUsers(_ call: SyscallCall, _ r: UInt32, _ e: UInt32, _ s: UInt32) throws -> Int64 {
    var who = call.process.credentials
    let own = [who.ruid, who.euid, who.suid]
    for id in [r, e, s] where !mayBecome(id, who.euid == 0, own) { throw Errno.EPERM }
    if r != .max { who.ruid = r }
    if e != .max { who.euid = e }
    if s != .max { who.suid = s }
    who.fsuid = who.euid
    call.process.credentials = who
    call.kernel.applyIdentity(call.process)
    return 0
  }

  static func setGroups(_ call: SyscallCall, _ r: UInt32, _ e: UInt32, _ s: UInt32) throws -> Int64
  {
    var who = call.process.credentials
    let own = [who.rgid, who.egid, who.sgid]
    for id in [r, e, s] where !mayBecome(id, who.euid == 0, own) { throw Errno.EPERM }
    if r != .max { who.rgid = r }
    if e != .max { who.egid = e }
    if s != .max { who.sgid = s }
    who.fsgid = who.egid
    call.process.credentials = who
    call.kernel.applyIdentity(call.process)
    return 0
  }

  @Sendable static func getgroups(_ call: SyscallCall) throws -> Int64 {
    let groups = call.process.credentials.groups
    let size = call.int(0)
    guard size >= 0 else { throw Errno.EINVAL }
    if size == 0 { return Int64(groups.count) }
    guard Int(size) >= groups.count else { throw Errno.EINVAL }
    var bytes = [UInt8](repeating: 0, count: groups.count * 4)
    for (index, group) in groups.enumerated() { bytes.put(index * 4, group) }
    try call.write(call[1], bytes)
    return Int64(groups.count)
  }

  @Sendable static func setgroups(_ call: SyscallCall) throws -> Int64 {
    guard call.process.credentials.euid == 0 else { throw Errno.EPERM }
    guard call.uint(0) <= 65_536 else { throw Errno.EINVAL }
    let count = Int(call.uint(0))
    let bytes = try call.read(call[1], count * 4)
    call.process.credentials.groups = (0..<count).map { bytes.get($0 * 4, UInt32.self) }
    return 0
  }

  /// - SeeAlso: Linux, `kernel/sys.c`, `setpgid`
  @Sendable static func setpgid(_ call: SyscallCall) throws -> Int64 {
    let pid = call.int(0) == 0 ? call.process.pid : call.int(0)
    let pgid = call.int(1) == 0 ? pid : call.int(1)
    guard pgid >= 0 else { throw Errno.EINVAL }
    guard let process = call.kernel.processes[pid], !process.isZombie || process === call.process
    else { throw Errno.ESRCH }
    if process !== call.process {
      guard process.parent === call.process else { throw Errno.ESRCH }
      guard process.sid == call.process.sid else { throw Errno.EPERM }
      guard !process.didExec else { throw Errno.EACCES }
    }
    guard process.sid != process.pid else { throw Errno.EPERM }
    if pgid != pid {
      guard
        call.kernel.processes.values.contains(where: {
          $0.pgid == pgid && $0.sid == call.process.sid
        })
      else { throw Errno.EPERM }
    }
    process.pgid = pgid
    return 0
  }

  @Sendable static func setsid(_ call: SyscallCall) throws -> Int64 {
    let process = call.process
    guard !call.kernel.processes.values.contains(where: { $0.pgid == process.pid }) else {
      throw Errno.EPERM
    }
    process.sid = process.pid
    process.pgid = process.pid
    return Int64(process.pid)
  }

  static func limit(
    _ call: SyscallCall, _ process: Process, _ new: UInt64?, _ old: UInt64,
    resource: UInt32? = nil
  ) throws -> Int64 {
    let index = Int(resource ?? call.uint(0))
    guard index < ResourceLimits.count else { throw Errno.EINVAL }
    let before = process.limits[index]
    var after = before
    if let new {
      let bytes = try call.read(new, 16)
      after = (bytes.get(0, UInt64.self), bytes.get(8, UInt64.self))
      guard after.soft <= after.hard else { throw Errno.EINVAL }
      if after.hard > before.hard, call.process.credentials.euid != 0 { throw Errno.EPERM }
      if index == ResourceLimits.files, after.hard > 1 << 20 { throw Errno.EPERM }
    }
    if old != 0 || new == nil {
      var bytes = [UInt8](repeating: 0, count: 16)
      bytes.put(0, before.soft)
      bytes.put(8, before.hard)
      try call.write(old, bytes)
    }
    if new != nil {
      process.limits[index] = after
      call.kernel.applyLimits(process)
    }
    return 0
  }

  /// - SeeAlso: Linux, `include/uapi/linux/prctl.h`
  @Sendable static func prctl(_ call: SyscallCall) throws -> Int64 {
    let task = call.task
    let process = call.process
    switch call.int(0) {
    case 1:
      guard call[1] <= UInt64(Signal.last) else { throw Errno.EINVAL }
      task.parentDeathSignal = Int32(call[1])
    case 2: try call.store(call[1], task.parentDeathSignal)
    case 3: return process.isDumpable ? 1 : 0
    case 4:
      guard call[1] <= 1 else { throw Errno.EINVAL }
      process.isDumpable = call[1] == 1
    case 7: return 0
    case 8: guard call[1] <= 1 else { throw Errno.EINVAL }
    case 15:
      let name = call.space.readPartial(call[1], 16)
      guard !name.isEmpty else { throw Errno.EFAULT }
      task.comm = String(decoding: name.prefix(15).prefix { $0 != 0 }, as: UTF8.self)
    case 16:
      var name = Array(task.comm.utf8.prefix(15))
      name += [UInt8](repeating: 0, count: 16 - name.count)
      try call.write(call[1], name)
    case 23: return call[1] <= 40 ? 1 : try { throw Errno.EINVAL }()
    case 29: task.timerSlack = call[1] == 0 ? 50_000 : call[1]
    case 30: return Int64(bitPattern: min(task.timerSlack, UInt64(Int64.max)))
    case 36: process.isSubreaper = call[1] != 0
    case 37: try call.store(call[1], Int32(process.isSubreaper ? 1 : 0))
    case 38:
      guard call[1] == 1, call[2] == 0, call[3] == 0, call[4] == 0 else { throw Errno.EINVAL }
      process.noNewPrivileges = true
    case 39: return process.noNewPrivileges ? 1 : 0
    case 40: try call.store(call[1], task.clearChildTID)
    case 0x5356_4d41: break
    default: throw Errno.EINVAL
    }
    return 0
  }

  /// - SeeAlso: capget(2)
  @Sendable static func capget(_ call: SyscallCall) throws -> Int64 {
    let version = try call.load(call[0], as: UInt32.self)
    guard version == 0x2008_0522 || version == 0x2007_1026 || version == 0x1998_0330 else {
      try call.store(call[0], UInt32(0x2008_0522))
      if call[1] == 0 { return 0 }
      throw Errno.EINVAL
    }
    guard call[1] != 0 else { return 0 }
    let all: UInt64 = call.process.credentials.euid == 0 ? 0x1ff_ffff_ffff : 0
    let sets = version == 0x1998_0330 ? 1 : 2
    var bytes = [UInt8](repeating: 0, count: 12 * sets)
    for set in 0..<sets {
      let part = UInt32(truncatingIfNeeded: all >> UInt64(32 * set))
      bytes.put(12 * set, part)
      bytes.put(12 * set + 4, part)
    }
    try call.write(call[1], bytes)
    return 0
  }
}

extension Kernel {
  /// Lets a process's memory and descriptors know its limits.
  func applyLimits(_ process: Process) {
    for task in process.threads {
      task.files.limit = min(process.limits[ResourceLimits.files].soft, 1 << 20)
      guard let space = task.space else { continue }
      space.limits = memoryLimits(process)
    }
  }

  func memoryLimits(_ process: Process) -> AddressSpace.Limits {
    var limits = AddressSpace.Limits()
    limits.addressSpace = process.limits[ResourceLimits.addressSpace].soft
    limits.data = process.limits[ResourceLimits.data].soft
    limits.stack = process.limits[ResourceLimits.stack].soft
    limits.locked = process.limits[ResourceLimits.lockedMemory].soft
    return limits
  }
}
