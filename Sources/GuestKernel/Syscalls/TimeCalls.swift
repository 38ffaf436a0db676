extension SyscallTable {
  /// Clocks and sleeping.
  static let timeRows: [SyscallRow] = [
    SyscallRow("clock_gettime") {
      try $0.write($0[1], ABI.timespec(TimeCalls.read($0, $0.int(0))))
      return 0
    },
    SyscallRow("clock_getres") {
      let clock = $0.int(0)
      _ = try TimeCalls.read($0, clock)
      let coarse = clock == 5 || clock == 6
      if $0[1] != 0 { try $0.write($0[1], ABI.timespec(coarse ? 4_000_000 : 1)) }
      return 0
    },
    SyscallRow("clock_settime", partial: "CLOCK_REALTIME of the guest only") { call in
      guard call.int(0) == 0 else { throw Errno.EINVAL }
      call.kernel.setRealtime(try call.timespec(call[1]))
      return 0
    },
    SyscallRow("gettimeofday") {
      if $0[0] != 0 { try $0.write($0[0], ABI.timeval($0.kernel.realtime)) }
      if $0[1] != 0 { try $0.store($0[1], UInt64(0)) }
      return 0
    },
    SyscallRow("settimeofday") { call in
      guard call[0] != 0 else { return 0 }
      call.kernel.setRealtime(try ABI.timeval(try call.read(call[0], 16), 0))
      return 0
    },
    SyscallRow("nanosleep") { call in
      let time = try call.isFirstTry ? call.timespec(call[0]) : 0
      let deadline = call.deadline { call.after(time) } ?? .max
      return try TimeCalls.sleep(call, until: deadline, remaining: call[1])
    },
    SyscallRow("clock_nanosleep", TimeCalls.clockNanosleep),
    SyscallRow("getitimer") { call in
      guard let which = TimeCalls.itimer(call) else { throw Errno.EINVAL }
      if which != 0 { call.kernel.account(call.task) }
      let (left, interval) = call.kernel.intervalTimer(call.process, which)
      try call.write(call[1], ABI.itimer(interval: interval, value: left, micro: true))
      return 0
    },
    SyscallRow("setitimer", TimeCalls.setitimer),
    SyscallRow("times") { call in
      call.kernel.account(call.task)
      if call[0] != 0 {
        var bytes = [UInt8](repeating: 0, count: 32)
        bytes.put(0, call.process.runtime / 10_000_000)
        bytes.put(16, call.process.childrenRuntime / 10_000_000)
        try call.write(call[0], bytes)
      }
      return Int64(call.kernel.now / 10_000_000)
    },
    SyscallRow("getrusage") { call in
      let process = call.process
      call.kernel.account(call.task)
      let resident = UInt64(call.space.maxResidentPages) &* 4
      let bytes: [UInt8]
      switch call.int(0) {
      case 0:
        bytes = ABI.rusage(
          runtime: process.runtime, usage: process.usage, maxResidentKB: resident)
      case -1:
        bytes = ABI.rusage(
          runtime: process.childrenRuntime, usage: process.childrenUsage, maxResidentKB: resident)
      case 1:
        bytes = ABI.rusage(
          runtime: call.task.runtime, usage: call.task.usage, maxResidentKB: resident)
      default: throw Errno.EINVAL
      }
      try call.write(call[1], bytes)
      return 0
    },
  ]
}

/// Handlers of calls about time.
enum TimeCalls {
  /// A clock's nanoseconds.
  static func read(_ call: SyscallCall, _ clock: Int32) throws -> UInt64 {
    let kernel = call.kernel
    switch clock {
    case 0, 5, 8, 11: return kernel.realtime
    case 1, 4, 6, 7, 9: return kernel.now
    case 2:
      kernel.account(call.task)
      return call.process.runtime
    case 3:
      kernel.account(call.task)
      return call.task.runtime
    case ..<0:
      // A CPU clock: bits 0-1 which time, bit 2 thread, the rest ~pid.
      let id = ~(clock >> 3)
      kernel.account(call.task)
      guard clock & 3 != 3 else { throw Errno.EINVAL }
      if clock & 4 != 0 {
        guard let task = id == 0 ? call.task : kernel.tasks[id] else { throw Errno.EINVAL }
        return task.runtime
      }
      guard let process = id == 0 ? call.process : kernel.processes[id] else {
        throw Errno.EINVAL
      }
      return process.runtime
    default: throw Errno.EINVAL
    }
  }

  static func itimer(_ call: SyscallCall) -> Int? {
    let which = call.int(0)
    return which >= 0 && which <= 2 ? Int(which) : nil
  }

  @Sendable static func setitimer(_ call: SyscallCall) throws -> Int64 {
    var value: UInt64 = 0
    var interval: UInt64 = 0
    if call[1] != 0 {
      let bytes = try call.read(call[1], 32)
      interval = try ABI.timeval(bytes, 0)
      value = try ABI.timeval(bytes, 16)
    }
    guard let which = itimer(call) else { throw Errno.EINVAL }
    call.kernel.account(call.task)
    let old = call.kernel.intervalTimer(call.process, which)
    call.kernel.setIntervalTimer(call.process, which, value: value, interval: interval)
    if call[2] != 0 {
      try call.write(call[2], ABI.itimer(interval: old.interval, value: old.left, micro: true))
    }
    return 0
  }

  /// Sleeps until a moment of monotonic time.
  ///
  /// Interrupted, it tells the time left and can be restarted.
  static func sleep(
    _ call: SyscallCall, until deadline: UInt64, remaining: UInt64
  ) throws
    -> Int64
  {
    if call.kernel.now >= deadline { return 0 }
    if call.task.progress == nil { call.task.progress = Progress(deadline: deadline) }
    if call.task.hasSignal {
      if remaining != 0 {
        try call.write(remaining, ABI.timespec(deadline - call.kernel.now))
      }
      call.task.restartBlock = .nanosleep(deadline: deadline, remaining: remaining)
      throw Errno.ERESTART_RESTARTBLOCK
    }
    try call.wait(on: [], until: deadline)
  }

  @Sendable static func clockNanosleep(_ call: SyscallCall) throws -> Int64 {
    let clock = call.int(0)
    guard clock != 3 else { throw Errno.EINVAL }
    _ = try read(call, clock)
    let isAbsolute = call.int(1) & 1 != 0
    if clock != 0, clock != 1, clock != 2, clock != 7, clock != 11, clock >= 0 {
      throw Errno.EOPNOTSUPP
    }
    let deadline = try call.deadline {
      let time = try call.timespec(call[2])
      guard isAbsolute else { return call.after(time) }
      return clock == 0 || clock == 11 ? call.kernel.monotonic(realtime: time) : time
    }
    guard let deadline else { throw Errno.EINVAL }
    if isAbsolute {
      if call.kernel.now >= deadline { return 0 }
      try call.wait(on: [], until: deadline, orFail: .ERESTARTNOHAND)
    }
    return try sleep(call, until: deadline, remaining: call[3])
  }
}

extension Kernel {
  /// The moment of monotonic time at which the clock of the day shows `time`.
  func monotonic(realtime time: UInt64) -> UInt64 {
    let start = realtime &- now
    return time > start ? time - start : 0
  }

  func setRealtime(_ time: UInt64) {
    realtimeOffset = realtimeOffset &+ Int64(bitPattern: time &- realtime)
  }
}
