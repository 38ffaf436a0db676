extension SyscallTable {
  /// Signals.
  static let signalRows: [SyscallRow] = [
    SyscallRow("rt_sigaction", SignalCalls.sigaction),
    SyscallRow("rt_sigprocmask", SignalCalls.sigprocmask),
    SyscallRow("rt_sigpending") { call in
      let size = call[1]
      guard size <= 8 else { throw Errno.EINVAL }
      let set =
        (call.task.pending.set.bits | call.process.pending.set.bits) & call.task.blocked.bits
      var bytes = [UInt8](repeating: 0, count: 8)
      bytes.put(0, set)
      try call.write(call[0], Array(bytes.prefix(Int(size))))
      return 0
    },
    SyscallRow("rt_sigsuspend", SignalCalls.sigsuspend),
    SyscallRow("rt_sigtimedwait", SignalCalls.sigtimedwait),
    SyscallRow("rt_sigqueueinfo") { call in
      let info = try SignalCalls.userInfo(call, call[2], call.int(1), to: call.int(0))
      guard let process = call.kernel.processes[call.int(0)], let leader = process.leader else {
        if call.kernel.processes[call.int(0)] != nil { return 0 }
        throw Errno.ESRCH
      }
      return try SignalCalls.deliver(call, info, leader, group: true)
    },
    SyscallRow("rt_tgsigqueueinfo") { call in
      guard call.int(0) > 0, call.int(1) > 0 else { throw Errno.EINVAL }
      let info = try SignalCalls.userInfo(call, call[3], call.int(2), to: call.int(1))
      guard let task = call.kernel.tasks[call.int(1)], task.process.pid == call.int(0) else {
        throw Errno.ESRCH
      }
      return try SignalCalls.deliver(call, info, task, group: false)
    },
    SyscallRow("rt_sigreturn") { $0.kernel.signalReturn($0.task, $0.regs) },
    SyscallRow("sigaltstack", SignalCalls.sigaltstack),
    SyscallRow("kill", SignalCalls.kill),
    SyscallRow("tkill") { call in
      guard call.int(0) > 0 else { throw Errno.EINVAL }
      return try SignalCalls.thread(call, group: nil, call.int(0), call.int(1))
    },
    SyscallRow("tgkill") { call in
      guard call.int(0) > 0, call.int(1) > 0 else { throw Errno.EINVAL }
      return try SignalCalls.thread(call, group: call.int(0), call.int(1), call.int(2))
    },
    SyscallRow("restart_syscall", SignalCalls.restart),
    SyscallRow("pause") { call in try call.wait(on: [], until: nil, orFail: .ERESTARTNOHAND) },
  ]
}

/// Handlers of calls about signals.
enum SignalCalls {
  static func mask(_ call: SyscallCall, _ va: UInt64) throws -> SignalSet {
    SignalSet(try call.load(va, as: UInt64.self))
  }

  /// A `sigset_t` argument that may be null, with its size.
  static func optionalMask(_ call: SyscallCall, _ index: Int, size: UInt64) throws -> SignalSet? {
    guard call[index] != 0 else { return nil }
    guard size == 8 else { throw Errno.EINVAL }
    return SignalSet(try mask(call, call[index]).bits & ~SignalSet.unblockable)
  }

  /// - SeeAlso: Linux, `kernel/signal.c`, `do_sigaction`
  @Sendable static func sigaction(_ call: SyscallCall) throws -> Int64 {
    let signal = call.int(0)
    guard call[3] == 8 else { throw Errno.EINVAL }
    let hasRestorer = call.kernel.isa.signalActionHasRestorer
    let size = hasRestorer ? 32 : 24
    let maskOffset = size - 8
    var new: SignalAction?
    if call[1] != 0 {
      let bytes = try call.read(call[1], size)
      var action = SignalAction()
      action.handler = bytes.get(0, UInt64.self)
      action.flags = bytes.get(8, UInt64.self) & SignalAction.known
      if hasRestorer { action.restorer = bytes.get(16, UInt64.self) }
      action.mask = SignalSet(bytes.get(maskOffset, UInt64.self) & ~SignalSet.unblockable)
      new = action
    }
    guard signal > 0, signal <= Signal.last,
      new == nil || SignalSet.bit(signal) & SignalSet.unblockable == 0
    else { throw Errno.EINVAL }
    let old = call.task.handlers[signal]
    if let new {
      call.task.handlers[signal] = new
      if call.task.handlers.ignores(signal) {
        call.process.pending.flush(SignalSet.bit(signal))
        for thread in call.process.threads {
          thread.pending.flush(SignalSet.bit(signal))
          call.kernel.recalculateSignals(thread)
        }
      }
    }
    if call[2] != 0 {
      var bytes = [UInt8](repeating: 0, count: size)
      bytes.put(0, old.handler)
      bytes.put(8, old.flags)
      if hasRestorer { bytes.put(16, old.restorer) }
      bytes.put(maskOffset, old.mask.bits)
      try call.write(call[2], bytes)
    }
    return 0
  }

  @Sendable static func sigprocmask(_ call: SyscallCall) throws -> Int64 {
    guard call[3] == 8 else { throw Errno.EINVAL }
    let old = call.task.blocked
    if call[1] != 0 {
      let set = try mask(call, call[1]).bits & ~SignalSet.unblockable
      switch call.int(0) {
      case 0: call.task.blocked.bits |= set
      case 1: call.task.blocked.bits &= ~set
      case 2: call.task.blocked.bits = set
      default: throw Errno.EINVAL
      }
      call.kernel.recalculateSignals(call.task)
    }
    if call[2] != 0 { try call.store(call[2], old.bits) }
    return 0
  }

  @Sendable static func sigsuspend(_ call: SyscallCall) throws -> Int64 {
    guard call[1] == 8 else { throw Errno.EINVAL }
    if call.isFirstTry {
      let set = try mask(call, call[0]).bits & ~SignalSet.unblockable
      call.task.savedMask = call.task.blocked
      call.task.blocked = SignalSet(set)
      call.kernel.recalculateSignals(call.task)
    }
    try call.wait(on: [], until: nil, orFail: .ERESTARTNOHAND)
  }

  /// - SeeAlso: Linux, `kernel/signal.c`, `do_sigtimedwait`
  @Sendable static func sigtimedwait(_ call: SyscallCall) throws -> Int64 {
    guard call[3] == 8 else { throw Errno.EINVAL }
    let task = call.task
    let wanted = SignalSet(try mask(call, call[0]).bits & ~SignalSet.unblockable)
    task.awaited = SignalSet()
    let deadline = try call.deadline { try call.timeout(2).map(call.after) }
    if let info = task.takeSignal(notIn: SignalSet(~wanted.bits)) {
      call.kernel.recalculateSignals(task)
      if call[1] != 0 { try call.write(call[1], info.bytes) }
      return Int64(info.signal)
    }
    if let deadline, call.kernel.now >= deadline { throw Errno.EAGAIN }
    task.awaited = wanted
    do {
      try call.wait(on: [], until: deadline, orFail: .EINTR)
    } catch let errno as Errno {
      task.awaited = SignalSet()
      throw errno
    }
  }

  static func userInfo(
    _ call: SyscallCall, _ va: UInt64, _ signal: Int32, to pid: Int32
  ) throws
    -> SignalInfo
  {
    let info = SignalInfo(signal: signal, user: try call.read(va, SignalInfo.size))
    if info.code >= 0 || info.code == SignalInfo.SI_TKILL, pid != call.process.pid {
      throw Errno.EPERM
    }
    return info
  }

  static func deliver(
    _ call: SyscallCall, _ info: SignalInfo, _ task: Task, group: Bool
  ) throws
    -> Int64
  {
    guard info.signal >= 0, info.signal <= Signal.last else { throw Errno.EINVAL }
    if info.signal == 0 { return 0 }
    guard call.kernel.send(info, to: task, group: group) else { throw Errno.EAGAIN }
    return 0
  }

  private static func from(_ call: SyscallCall, _ signal: Int32, _ code: Int32) -> SignalInfo {
    SignalInfo(
      signal, code: code, .kill(pid: call.process.pid, uid: call.process.credentials.ruid))
  }

  static func thread(
    _ call: SyscallCall, group: Int32?, _ tid: Int32, _ signal: Int32
  ) throws
    -> Int64
  {
    guard let task = call.kernel.tasks[tid], group == nil || task.process.pid == group else {
      throw Errno.ESRCH
    }
    return try deliver(call, from(call, signal, SignalInfo.SI_TKILL), task, group: false)
  }

  /// - SeeAlso: Linux, `kernel/signal.c`, `kill_something_info`
  @Sendable static func kill(_ call: SyscallCall) throws -> Int64 {
    let pid = call.int(0)
    let signal = call.int(1)
    guard signal >= 0, signal <= Signal.last else { throw Errno.EINVAL }
    let info = from(call, signal, SignalInfo.SI_USER)
    if pid > 0 {
      guard let process = call.kernel.processes[pid] ?? call.kernel.tasks[pid]?.process else {
        throw Errno.ESRCH
      }
      guard let leader = process.leader else { return 0 }
      return try deliver(call, info, leader, group: true)
    }
    guard pid != .min else { throw Errno.ESRCH }
    let targets: [Process]
    if pid == -1 {
      targets = call.kernel.liveProcesses.filter { $0.pid > 1 && $0 !== call.process }
    } else {
      let pgid = pid == 0 ? call.process.pgid : -pid
      targets = call.kernel.processes.values.filter { $0.pgid == pgid }
        .sorted { $0.pid < $1.pid }
    }
    guard !targets.isEmpty else { throw Errno.ESRCH }
    for process in targets where signal != 0 {
      if let leader = process.leader { call.kernel.send(info, to: leader, group: true) }
    }
    return 0
  }

  @Sendable static func sigaltstack(_ call: SyscallCall) throws -> Int64 {
    let task = call.task
    let sp =
      call.kernel.readKernel(call.regs, call.kernel.isa.ptRegs.size)?
      .load64(call.kernel.isa.ptRegs.sp) ?? 0
    let old = task.signalStack
    let oldBytes = ABI.stack(
      sp: old.sp, flags: old.state(sp) | old.flags & SignalStack.SS_AUTODISARM, size: old.size)
    if call[0] != 0 {
      let bytes = try call.read(call[0], 24)
      let new = SignalStack(
        sp: bytes.get(0, UInt64.self), size: bytes.get(16, UInt64.self),
        flags: bytes.get(8, UInt32.self))
      try call.kernel.setSignalStack(task, new, currentSP: sp)
    }
    if call[1] != 0 { try call.write(call[1], oldBytes) }
    return 0
  }

  @Sendable static func restart(_ call: SyscallCall) throws -> Int64 {
    guard let block = call.task.restartBlock else { throw Errno.EINTR }
    switch block {
    case .nanosleep(let deadline, let remaining):
      return try TimeCalls.sleep(call, until: deadline, remaining: remaining)
    case .futex(let address, let value, let deadline, let bitset, let isPrivate):
      return try FutexCalls.wait(
        call, address, value, deadline: deadline, bitset: bitset, isPrivate: isPrivate,
        restartable: true)
    case .poll(let descriptors, let count, let deadline):
      return try PollCalls.poll(call, descriptors, count, deadline: deadline, mask: nil)
    }
  }
}
