import Testing

@testable import GuestKernel

@Suite struct SignalsTests {
  /// `rt_sigaction` of the current task.
  private func handle(
    _ bench: TasksBench, _ signal: Int32, _ handler: UInt64 = 0x5000, flags: UInt64 = 0,
    mask: UInt64 = 0
  ) throws {
    try bench.put(0xe00, handler)
    try bench.put(0xe08, flags)
    try bench.put(0xe10, mask)
    #expect(bench.call("rt_sigaction", UInt64(signal), bench.scratch + 0xe00, 0, 8) == 0)
  }

  @Test func handlerRunsAndReturns() throws {
    let bench = try TasksBench()
    try handle(bench, 10, flags: SignalAction.SA_SIGINFO, mask: SignalSet.bit(12))
    #expect(bench.call("kill", 1, 10) == 0)
    #expect(bench.task.block.flags.contains(.signalPending))
    let before = bench.task.block.regs
    #expect(bench.signals(bench.task).value == 0)
    #expect(bench.task.block.reg(0) == 0x5000)
    #expect(bench.task.block.reg(80) == 10)
    #expect(bench.task.blocked.contains(10) && bench.task.blocked.contains(12))
    let frame = bench.task.block.reg(16)
    #expect(frame & 15 == 0 && frame < bench.scratch + 0xf000)
    let info = try #require(bench.task.space).read(frame, 128)
    #expect(info.get(0, Int32.self) == 10)
    #expect(info.get(8, Int32.self) == 0)
    #expect(info.get(16, Int32.self) == 1)
    #expect(!bench.task.block.flags.contains(.signalPending))
    #expect(bench.call("rt_sigreturn") == 0)
    #expect(bench.task.block.regs == before)
    #expect(bench.task.blocked.bits == 0)
  }

  @Test func defaultActionKills() throws {
    let bench = try TasksBench()
    bench.call("kill", 1, 15)
    #expect(bench.signals(bench.task).value == 1 << 32 | 15)
    _ = bench.kernel.gate(9, arguments: [15])
    #expect(bench.kernel.exitStatus == .killed(15))
    #expect(bench.kernel.exitStatus?.shellStatus == 143)
    #expect(bench.kernel.fatalSignal?.name == "SIGTERM")
  }

  @Test func faultOfABlockedSignalKills() throws {
    let bench = try TasksBench()
    try handle(bench, 11)
    try bench.put(0, SignalSet.bit(11))
    #expect(bench.call("rt_sigprocmask", 0, bench.scratch, 0, 8) == 0)
    #expect(bench.kernel.gate(2, arguments: [bench.task.block.regsVA, 0x10, 1]).value == 1)
    #expect(bench.signals(bench.task).value == 1 << 32 | 11)
    #expect(bench.kernel.fatalSignal?.address == 0x10)
    #expect(bench.kernel.fatalSignal?.signal == 11)
  }

  @Test func frameThatCannotBeWrittenKills() throws {
    let bench = try TasksBench()
    try handle(bench, 10)
    bench.task.block.setReg(16, 0x100)
    bench.call("kill", 1, 10)
    #expect(bench.signals(bench.task).value == 1 << 32 | 11)
  }

  @Test func alternateStack() throws {
    let bench = try TasksBench()
    try bench.put(0, bench.scratch + 0x2000)
    try bench.put(8, UInt32(0))
    try bench.put(16, UInt64(100))
    #expect(bench.call("sigaltstack", bench.scratch, 0) == failed(.ENOMEM))
    try bench.put(16, UInt64(0x2000))
    #expect(bench.call("sigaltstack", bench.scratch, 0) == 0)
    try handle(bench, 10, flags: SignalAction.SA_ONSTACK)
    bench.call("kill", 1, 10)
    _ = bench.signals(bench.task)
    let sp = bench.task.block.reg(16)
    #expect(sp > bench.scratch + 0x2000 && sp < bench.scratch + 0x4000)
    #expect(bench.call("sigaltstack", bench.scratch, 0) == failed(.EPERM))
    #expect(bench.call("sigaltstack", 0, bench.scratch + 64) == 0)
    #expect(try bench.get(72, UInt32.self) == SignalStack.SS_ONSTACK)
    #expect(bench.call("rt_sigreturn") == 0)
    #expect(bench.call("sigaltstack", 0, bench.scratch + 64) == 0)
    #expect(try bench.get(72, UInt32.self) == 0)
  }

  @Test func autodisarm() throws {
    let bench = try TasksBench()
    try bench.put(0, bench.scratch + 0x2000)
    try bench.put(8, SignalStack.SS_AUTODISARM)
    try bench.put(16, UInt64(0x2000))
    #expect(bench.call("sigaltstack", bench.scratch, 0) == 0)
    try handle(bench, 10, flags: SignalAction.SA_ONSTACK)
    bench.call("kill", 1, 10)
    _ = bench.signals(bench.task)
    #expect(bench.task.signalStack.size == 0)
    #expect(bench.call("rt_sigreturn") == 0)
    #expect(bench.task.signalStack.size == 0x2000)
  }

  @Test func interruptedSleepRestarts() throws {
    let bench = try TasksBench()
    let child = try bench.fork()
    try bench.put(0, UInt64(1))
    try bench.put(8, UInt64(0))
    #expect(bench.call("nanosleep", bench.scratch, bench.scratch + 32) == nil)
    bench.run(child)
    bench.call("kill", 1, 28)
    #expect(bench.task.state == .interruptible, "an ignored signal does not wake")
    bench.call("kill", 1, 20)
    bench.run(bench.task)
    let result = bench.call("nanosleep", bench.scratch, bench.scratch + 32)
    #expect(result == failed(.ERESTART_RESTARTBLOCK))
    let regs = bench.task.block
    regs.setReg(80, UInt64(bitPattern: result ?? 0))
    regs.setReg(280, bench.scratch)
    regs.setReg(0, 0x4004)
    _ = bench.signals(bench.task)
    #expect(regs.reg(0) == 0x4000)
    #expect(regs.reg(136) == UInt64(bench.kernel.syscalls.number("restart_syscall") ?? -1))
    #expect(bench.call("restart_syscall") == nil)
    bench.schedule()
    bench.advance(1_000_000_000)
    bench.run(bench.task)
    #expect(bench.call("restart_syscall") == 0)
  }

  @Test func interruptedReadWithHandler() throws {
    for flags in [SignalAction.SA_RESTART, 0] {
      let bench = try TasksBench()
      try handle(bench, 10, flags: flags)
      let child = try bench.fork()
      #expect(bench.call("wait4", UInt64(bitPattern: -1), 0, 0, 0) == nil)
      bench.run(child)
      bench.call("kill", 1, 10)
      bench.run(bench.task)
      let result = bench.call("wait4", UInt64(bitPattern: -1), 0, 0, 0)
      #expect(result == failed(.ERESTARTSYS))
      bench.task.block.setReg(80, UInt64(bitPattern: result ?? 0))
      bench.task.block.setReg(280, UInt64.max)
      bench.task.block.setReg(0, 0x4004)
      _ = bench.signals(bench.task)
      let frame = bench.task.block.reg(16)
      let saved = try #require(bench.task.space).read(frame + 160, 288)
      if flags != 0 {
        #expect(saved.load64(0) == 0x4000)
        #expect(saved.load64(80) == UInt64.max)
      } else {
        #expect(saved.load64(0) == 0x4004)
        #expect(Int64(bitPattern: saved.load64(80)) == failed(.EINTR))
      }
    }
  }

  @Test func realtimeSignalsQueueInOrder() throws {
    let bench = try TasksBench()
    try bench.put(0, UInt64.max)
    #expect(bench.call("rt_sigprocmask", 2, bench.scratch, 0, 8) == 0)
    #expect(!bench.task.blocked.contains(9))
    for value in [5, 6] as [UInt64] {
      try bench.put(0x108, Int32(-1))
      try bench.put(0x118, value)
      #expect(bench.call("rt_sigqueueinfo", 1, 40, bench.scratch + 0x100) == 0)
    }
    bench.call("kill", 1, 34)
    bench.call("kill", 1, 12)
    bench.call("kill", 1, 12)
    try bench.put(0, UInt64.max)
    var taken: [Int64] = []
    var values: [UInt64] = []
    try bench.put(0x300, UInt64(0))
    try bench.put(0x308, UInt64(0))
    while let signal = bench.call(
      "rt_sigtimedwait", bench.scratch, bench.scratch + 0x200, bench.scratch + 0x300, 8), signal > 0
    {
      taken.append(signal)
      if signal == 40 { values.append(try bench.get(0x218, UInt64.self)) }
    }
    #expect(taken == [12, 34, 40, 40])
    #expect(values == [5, 6])
  }

  @Test func sigsuspendWaits() throws {
    let bench = try TasksBench()
    try handle(bench, 10)
    try bench.put(0, SignalSet.bit(10))
    bench.call("rt_sigprocmask", 0, bench.scratch, 0, 8)
    try bench.put(0, UInt64(0))
    let child = try bench.fork()
    #expect(bench.call("rt_sigsuspend", bench.scratch, 8) == nil)
    bench.run(child)
    bench.call("kill", 1, 10)
    bench.run(bench.task)
    #expect(bench.call("rt_sigsuspend", bench.scratch, 8) == failed(.ERESTARTNOHAND))
    bench.task.block.setReg(80, UInt64(bitPattern: failed(.ERESTARTNOHAND)))
    _ = bench.signals(bench.task)
    let frame = bench.task.block.reg(16)
    #expect(try bench.task.space?.load(frame + 128, as: UInt64.self) == SignalSet.bit(10))
    #expect(bench.call("rt_sigreturn") == failed(.EINTR))
    #expect(bench.task.blocked.contains(10))
  }

  @Test func stopAndContinue() throws {
    let bench = try TasksBench()
    let child = try bench.fork()
    bench.call("kill", UInt64(child.tid), 19)
    bench.run(child)
    #expect(bench.signals(child).action.contains(.block))
    #expect(child.state == .stopped)
    bench.schedule()
    #expect(bench.kernel.current === bench.task)
    #expect(
      bench.call("wait4", UInt64(child.tid), bench.scratch, 2, 0) == Int64(child.tid))
    #expect(try bench.get(0, Int32.self) == 19 << 8 | 0x7f)
    #expect(bench.call("wait4", UInt64(child.tid), bench.scratch, 3, 0) == 0)
    bench.call("kill", UInt64(child.tid), 18)
    #expect(
      bench.call("wait4", UInt64(child.tid), bench.scratch, 9, 0) == Int64(child.tid))
    #expect(try bench.get(0, Int32.self) == 0xffff)
    bench.run(child)
    #expect(bench.signals(child).value == 0)
    #expect(child.state == .runnable)
    bench.call("kill", UInt64(child.tid), 9)
    #expect(bench.signals(child).value == 1 << 32 | 9)
  }

  @Test func queuesAndSets() {
    var queue = SignalQueue()
    queue.add(.kernel(11))
    queue.add(.kernel(2))
    queue.add(.kernel(2))
    #expect(queue.count == 2)
    #expect(queue.next(notIn: SignalSet())?.signal == 11)
    #expect(queue.next(notIn: SignalSet(SignalSet.bit(2))) == nil)
    queue.flush(SignalSet.bit(2))
    #expect(queue.set.bits == 0)
    #expect(Signal.name(11) == "SIGSEGV" && Signal.name(34) == "SIGRTMIN+2")
    let info = SignalInfo(
      17, code: 1, .child(pid: 5, uid: 6, status: 7, utime: 8, stime: 9))
    #expect(info.bytes.count == 128)
    #expect(info.bytes.get(16, Int32.self) == 5 && info.bytes.get(24, Int32.self) == 7)
    #expect(info.bytes.get(40, UInt64.self) == 9)
  }

  @Test func intervalTimerSignals() throws {
    let bench = try TasksBench()
    try handle(bench, 14)
    for offset in [0, 8, 24] as [UInt64] { try bench.put(offset, UInt64(0)) }
    try bench.put(16, UInt64(1))
    #expect(bench.call("setitimer", 0, bench.scratch, 0) == 0)
    #expect(bench.call("getitimer", 0, bench.scratch + 64) == 0)
    #expect(try bench.get(80, UInt64.self) == 1)
    bench.advance(1_000_000_000)
    #expect(bench.task.block.flags.contains(.signalPending))
    _ = bench.signals(bench.task)
    #expect(bench.task.block.reg(80) == 14)
  }
}
