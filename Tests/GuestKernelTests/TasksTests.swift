import Testing

@testable import GuestKernel

/// Notes which timers happened.
private final class FiredTimers: TimerTarget {
  var fired: [GuestKernel.Timer] = []
  func timerFired(_ timer: GuestKernel.Timer, _ kernel: Kernel) { fired.append(timer) }
}

@Suite struct TasksTests {
  @Test func timersFireInOrder() throws {
    var heap = TimerHeap()
    let bench = try TasksBench()
    let target = FiredTimers()
    let timers = [50, 10, 30, 10, 20].map { heap.add($0, target) }
    let cancelled = heap.add(5, target)
    cancelled.cancel()
    #expect(heap.next == 10)
    while let timer = heap.expired(30) { timer.fire(bench.kernel) }
    #expect(target.fired.map { fired in timers.firstIndex { $0 === fired } } == [1, 3, 4, 2])
    #expect(heap.next == 50)
  }

  @Test func forkExitWait() throws {
    let bench = try TasksBench()
    let parent = bench.task
    let child = try bench.fork()
    #expect(child.process.parent === parent.process)
    #expect(child.block.reg(80) == 0)
    #expect(child.space !== parent.space)
    #expect(bench.call("wait4", UInt64(bitPattern: -1), bench.scratch, 1, 0) == 0)
    #expect(bench.call("wait4", UInt64(bitPattern: -1), bench.scratch, 0, 0) == nil)
    bench.schedule()
    #expect(bench.kernel.current === child)
    #expect(bench.call("getppid") == 1)
    bench.exit(7)
    #expect(bench.kernel.current === parent)
    #expect(
      bench.call("wait4", UInt64(bitPattern: -1), bench.scratch, 0, 0) == Int64(child.tid))
    #expect(try bench.get(0, Int32.self) == 7 << 8)
    #expect(bench.call("wait4", UInt64(bitPattern: -1), 0, 0, 0) == failed(.ECHILD))
    #expect(bench.kernel.processes.count == 1)
  }

  @Test func framesComeBack() throws {
    let bench = try TasksBench()
    func round() throws {
      let child = try bench.fork()
      bench.run(child)
      bench.exit(0)
      bench.run(bench.task)
      bench.call("wait4", UInt64(bitPattern: -1), 0, 0, 0)
      bench.schedule()
    }
    try round()
    try round()
    let before = bench.frames.used
    for _ in 0..<50 { try round() }
    #expect(bench.frames.used == before)
  }

  @Test func firstProgramEndsTheRun() throws {
    let bench = try TasksBench()
    bench.exit(42)
    #expect(bench.kernel.exitStatus == .exited(42))
  }

  @Test func orphansGoToTheFirstProgram() throws {
    let bench = try TasksBench()
    let child = try bench.fork()
    bench.run(child)
    let grandchild = try bench.fork()
    bench.run(child)
    bench.exit(0)
    #expect(grandchild.process.parent === bench.task.process)
    bench.run(grandchild)
    #expect(bench.call("getppid") == 1)
  }

  @Test func ignoredChildrenAreNotKept() throws {
    let bench = try TasksBench()
    try bench.put(0, UInt64(1))
    #expect(bench.call("rt_sigaction", 17, bench.scratch, 0, 8) == 0)
    let child = try bench.fork()
    #expect(bench.call("wait4", UInt64(bitPattern: -1), 0, 0, 0) == nil)
    bench.run(child)
    bench.exit(1)
    bench.run(bench.task)
    #expect(bench.call("wait4", UInt64(bitPattern: -1), 0, 0, 0) == failed(.ECHILD))
  }

  @Test func threadsShareAndAreJoined() throws {
    let bench = try TasksBench()
    let flags: UInt64 = 0x3d0f00
    let tid = bench.call(
      "clone", flags, bench.scratch + 0x8000, bench.scratch + 16, 0x1234, bench.scratch + 32)
    let thread = try #require(bench.kernel.tasks[Int32(tid ?? 0)])
    #expect(thread.process === bench.task.process)
    #expect(thread.space === bench.task.space)
    #expect(try bench.get(16, Int32.self) == thread.tid)
    #expect(thread.block.reg(16) == bench.scratch + 0x8000)
    #expect(thread.block.reg(32) == 0x1234)
    try bench.put(32, UInt32(thread.tid))
    // FUTEX_WAIT on the thread's number, as pthread_join does.
    #expect(bench.call("futex", bench.scratch + 32, 0, UInt64(thread.tid), 0) == nil)
    bench.schedule()
    #expect(bench.kernel.current === thread)
    bench.call("exit", 0)
    _ = bench.kernel.gate(9, arguments: [0])
    bench.schedule()
    #expect(bench.kernel.current === bench.task)
    #expect(bench.call("futex", bench.scratch + 32, 0, UInt64(thread.tid), 0) == 0)
    #expect(try bench.get(32, UInt32.self) == 0)
    #expect(bench.kernel.exitStatus == nil)
  }

  @Test func exitGroupEndsOtherThreads() throws {
    let bench = try TasksBench()
    let tid = bench.call("clone", 0x10f00, bench.scratch + 0x8000)
    let thread = try #require(bench.kernel.tasks[Int32(tid ?? 0)])
    bench.run(thread)
    #expect(bench.call("pause") == nil)
    bench.run(bench.task)
    bench.call("exit_group", 3)
    _ = bench.kernel.gate(9, arguments: [3 << 8])
    #expect(bench.kernel.exitStatus == nil)
    bench.schedule()
    #expect(bench.kernel.current === thread)
    let reply = bench.signals(thread)
    #expect(reply.value == 1 << 32 | 3 << 8)
    _ = bench.kernel.gate(9, arguments: [reply.value & 0xffff_ffff])
    #expect(bench.kernel.exitStatus == .exited(3))
  }

  @Test func cloneRefusesNonsense() throws {
    let bench = try TasksBench()
    #expect(bench.call("clone", 0x10000) == failed(.EINVAL))
    #expect(bench.call("clone", 0x800) == failed(.EINVAL))
    #expect(bench.call("clone", 0x2000_0000) == failed(.EINVAL))
    #expect(bench.call("clone3", bench.scratch, 8) == failed(.EINVAL))
    #expect(bench.call("clone3", 0, 64) == failed(.EFAULT))
  }

  @Test func vforkWaitsForTheChild() throws {
    let bench = try TasksBench()
    #expect(bench.call("vfork") == nil)
    bench.schedule()
    let child = try #require(bench.kernel.current)
    #expect(child !== bench.task && child.space === bench.task.space)
    bench.exit(0)
    #expect(bench.kernel.current === bench.task)
    #expect(bench.call("vfork") == Int64(child.tid))
  }

  @Test func groupsAndSessions() throws {
    let bench = try TasksBench()
    #expect(bench.call("setsid") == failed(.EPERM))
    let child = try bench.fork()
    #expect(bench.call("setpgid", UInt64(child.tid), 0) == 0)
    #expect(bench.call("getpgid", UInt64(child.tid)) == Int64(child.tid))
    #expect(bench.call("setpgid", 999, 0) == failed(.ESRCH))
    let second = try bench.fork()
    bench.run(second)
    #expect(bench.call("setsid") == Int64(second.tid))
    #expect(bench.call("getsid", 0) == Int64(second.tid))
    bench.run(bench.task)
    #expect(bench.call("setpgid", UInt64(second.tid), UInt64(child.tid)) == failed(.EPERM))
  }

  @Test func turnsEndByTheClock() throws {
    let bench = try TasksBench()
    let child = try bench.fork()
    let deadline = try #require(bench.kernel.nextDeadline)
    #expect(!bench.task.block.flags.contains(.needResched))
    bench.advance(deadline - bench.clock.now)
    #expect(bench.task.block.flags.contains(.needResched))
    bench.schedule()
    #expect(bench.kernel.current === child)
    #expect(!bench.task.block.flags.contains(.needResched))
    #expect(bench.task.runtime > 0)
  }

  @Test func idleUntilTheTimer() throws {
    let bench = try TasksBench()
    try bench.put(0, UInt64(2))
    try bench.put(8, UInt64(500))
    #expect(bench.call("nanosleep", bench.scratch, 0) == nil)
    bench.schedule()
    #expect(bench.kernel.isIdle)
    #expect(bench.kernel.gate(8, arguments: []).value == 1)
    #expect(bench.kernel.nextDeadline == bench.clock.now + 2_000_000_500)
    #expect(!bench.kernel.isStuck)
    bench.advance(2_000_000_500)
    bench.schedule()
    #expect(bench.kernel.current === bench.task)
    #expect(bench.call("nanosleep", bench.scratch, 0) == 0)
  }

  @Test func limits() throws {
    let bench = try TasksBench()
    #expect(bench.call("prlimit64", 0, 7, 0, bench.scratch) == 0)
    #expect(try bench.get(0, UInt64.self) == 1024)
    try bench.put(0, UInt64(100))
    try bench.put(8, UInt64(50))
    #expect(bench.call("prlimit64", 0, 7, bench.scratch, 0) == failed(.EINVAL))
    #expect(bench.call("prlimit64", 0, 99, 0, bench.scratch) == failed(.EINVAL))
  }

  @Test func robustListIsReleased() throws {
    let bench = try TasksBench()
    let head = bench.scratch + 0x100
    let lock = bench.scratch + 0x200
    let tid = bench.call("clone", 0x10f00, bench.scratch + 0x8000)
    let thread = try #require(bench.kernel.tasks[Int32(tid ?? 0)])
    try bench.put(0x100, lock)
    try bench.put(0x108, UInt64(8))
    try bench.put(0x110, UInt64(0))
    try bench.put(0x200, head)
    try bench.put(0x208, UInt32(thread.tid))
    bench.run(thread)
    #expect(bench.call("set_robust_list", head, 24) == 0)
    _ = bench.kernel.gate(9, arguments: [0])
    bench.schedule()
    #expect(try bench.get(0x208, UInt32.self) == 0x4000_0000)
  }
}
