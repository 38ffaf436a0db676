extension SyscallTable {
  /// `timer_create` and its relatives.
  static let posixTimerRows: [SyscallRow] = [
    SyscallRow(
      "timer_create", partial: "CPU-time clocks run with monotonic time", PosixTimerCalls.create),
    SyscallRow("timer_settime", PosixTimerCalls.set),
    SyscallRow("timer_gettime") { call in
      let timer = try PosixTimerCalls.timer(call)
      try call.write(call[1], PosixTimerCalls.setting(call, timer))
      return 0
    },
    SyscallRow("timer_getoverrun") { Int64(try PosixTimerCalls.timer($0).overrun) },
    SyscallRow("timer_delete") { call in
      let timer = try PosixTimerCalls.timer(call)
      timer.timer?.cancel()
      call.process.posixTimers[timer.id] = nil
      return 0
    },
  ]
}

/// Handlers of POSIX timers.
///
/// - SeeAlso: Linux, `kernel/time/posix-timers.c`
enum PosixTimerCalls {
  static func timer(_ call: SyscallCall) throws -> PosixTimer {
    guard let timer = call.process.posixTimers[call.int(0)] else { throw Errno.EINVAL }
    return timer
  }

  @Sendable static func create(_ call: SyscallCall) throws -> Int64 {
    let clock = call.int(0)
    _ = try TimeCalls.read(call, clock)
    let process = call.process
    guard process.posixTimers.count < 4096 else { throw Errno.EAGAIN }
    let id = process.nextPosixTimer
    var notify: Int32 = 0
    var signal = Signal.SIGALRM
    var value = UInt64(UInt32(bitPattern: id))
    var thread: Task?
    if call[1] != 0 {
      let bytes = try call.read(call[1], 64)
      value = bytes.get(0, UInt64.self)
      signal = bytes.get(8, Int32.self)
      notify = bytes.get(12, Int32.self)
      guard [0, 1, 2, 4].contains(notify) else { throw Errno.EINVAL }
      if notify != 1, signal <= 0 || signal > Signal.last { throw Errno.EINVAL }
      if notify == 4 {
        guard let target = call.kernel.tasks[bytes.get(16, Int32.self)],
          target.process === process
        else { throw Errno.EINVAL }
        thread = target
      }
    }
    try call.store(call[2], id)
    process.nextPosixTimer = id == .max ? 0 : id + 1
    process.posixTimers[id] = PosixTimer(
      id: id, clock: clock, notify: notify, signal: signal, value: value, thread: thread)
    return 0
  }

  static func setting(_ call: SyscallCall, _ timer: PosixTimer) -> [UInt8] {
    let now = call.kernel.now
    let left = timer.expires == 0 ? 0 : timer.expires > now ? timer.expires - now : 1
    return ABI.itimer(interval: timer.interval, value: left, micro: false)
  }

  @Sendable static func set(_ call: SyscallCall) throws -> Int64 {
    guard call[2] != 0 else { throw Errno.EINVAL }
    let bytes = try call.read(call[2], 32)
    let interval = try ABI.timespec(bytes, 0)
    let value = try ABI.timespec(bytes, 16)
    let timer = try timer(call)
    let old = setting(call, timer)
    timer.interval = interval
    timer.overrun = 0
    var deadline: UInt64 = 0
    if value != 0 {
      if call.int(1) & 1 != 0 {
        deadline = timer.clock == 0 ? call.kernel.monotonic(realtime: value) : value
        deadline = max(deadline, 1)
      } else {
        deadline = call.after(value)
      }
    }
    call.kernel.arm(timer, at: deadline, of: call.process)
    if call[3] != 0 { try call.write(call[3], old) }
    return 0
  }
}
