import Testing

@testable import GuestKernel

/// Numbers that are the same in every run.
struct Splitmix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

@Suite struct SyscallsTests {
  @Test func tableHasNoDoubles() {
    let names = SyscallTable.rows.map(\.name)
    var seen: Set<String> = []
    for name in names { #expect(seen.insert(name).inserted, "\(name) is there twice") }
    #expect(names.count > 280)
    for row in SyscallTable.rows {
      #expect((row.handler == nil) == (row.status == .unsupported), "\(row.name)")
    }
  }

  @Test func unknownCallsAreCounted() throws {
    let bench = try TasksBench()
    let reply = bench.kernel.gate(1, arguments: [5000, 0, bench.task.block.regsVA])
    #expect(Int64(bitPattern: reply.value) == failed(.ENOSYS))
    #expect(bench.call("io_uring_setup", 1, 0) == failed(.ENOSYS))
    let statistics = bench.kernel.collectStatistics()
    #expect(statistics.unsupported["5000"] == 1)
    #expect(statistics.unsupported["io_uring_setup"] == 1)
  }

  @Test func gateReadsArgumentsFromTheKernelStack() throws {
    let bench = try TasksBench()
    let arguments = bench.task.block.va + 8192
    var bytes = [UInt8](repeating: 0, count: 48)
    bytes.put(0, bench.scratch)
    bench.kernel.writeKernel(arguments, bytes)
    let number = try #require(bench.kernel.syscalls.number("uname"))
    let reply = bench.kernel.gate(
      1, arguments: [UInt64(number), arguments, bench.task.block.regsVA])
    #expect(reply.value == 0)
    let text = try #require(bench.task.space).readCString(bench.scratch + 130, max: 65)
    #expect(String(decoding: text, as: UTF8.self) == "6.6.0-emu")
  }

  @Test func clocks() throws {
    let bench = try TasksBench()
    bench.clock.now = 5_000_000_007
    #expect(bench.call("clock_gettime", 1, bench.scratch) == 0)
    #expect(try bench.get(0, UInt64.self) == 5)
    #expect(try bench.get(8, UInt64.self) == 7)
    #expect(bench.call("clock_gettime", 77, bench.scratch) == failed(.EINVAL))
    #expect(bench.call("clock_gettime", 1, 0) == failed(.EFAULT))
    try bench.put(0, UInt64(1_000_000))
    try bench.put(8, UInt64(0))
    #expect(bench.call("clock_settime", 0, bench.scratch) == 0)
    #expect(bench.kernel.realtime == 1_000_000 * 1_000_000_000)
    try bench.put(8, UInt64(1_000_000_000))
    #expect(bench.call("nanosleep", bench.scratch, 0) == failed(.EINVAL))
  }

  @Test func futexes() throws {
    let bench = try TasksBench()
    let futex = bench.scratch + 0x40
    let other = bench.scratch + 0x80
    try bench.put(0x40, UInt32(5))
    try bench.put(0x80, UInt32(0))
    #expect(bench.call("futex", futex, 128, 4, 0) == failed(.EAGAIN))
    #expect(bench.call("futex", futex + 1, 128, 5, 0) == failed(.EINVAL))
    #expect(bench.call("futex", 0x10, 128, 5, 0) == failed(.EFAULT))
    #expect(bench.call("futex", futex, 6, 0, 0) == failed(.ENOSYS))
    let tid = bench.call("clone", 0x10f00, bench.scratch + 0x8000)
    let thread = try #require(bench.kernel.tasks[Int32(tid ?? 0)])
    // A timeout.
    try bench.put(0, UInt64(0))
    try bench.put(8, UInt64(1000))
    #expect(bench.call("futex", futex, 128, 5, bench.scratch) == nil)
    bench.run(thread)
    bench.advance(1000)
    bench.run(bench.task)
    #expect(bench.call("futex", futex, 128, 5, bench.scratch) == failed(.ETIMEDOUT))
    // A wake that the bits don't match, a requeue, a wake.
    #expect(bench.call("futex", futex, 128 | 9, 5, 0, 0, 2) == nil)
    bench.run(thread)
    #expect(bench.call("futex", futex, 128 | 10, 1, 0, 0, 1) == 0)
    #expect(bench.call("futex", futex, 128 | 4, 0, 9, other, 6) == failed(.EAGAIN))
    #expect(bench.call("futex", futex, 128 | 4, 0, 9, other, 5) == 1)
    #expect(bench.call("futex", futex, 128 | 1, 1) == 0)
    #expect(bench.call("futex", other, 128 | 1, 1) == 1)
    bench.run(bench.task)
    #expect(bench.call("futex", futex, 128 | 9, 5, 0, 0, 2) == 0)
    // FUTEX_WAKE_OP: other += 3, wake there if it was 0.
    let encoded: UInt64 = 1 << 28 | 0 << 24 | 3 << 12 | 0
    #expect(bench.call("futex", futex, 128 | 5, 1, 1, other, encoded) == 0)
    #expect(try bench.get(0x80, UInt32.self) == 3)
  }

  @Test func posixTimers() throws {
    let bench = try TasksBench()
    try bench.put(0, UInt64(99))
    try bench.put(8, Int32(10))
    try bench.put(12, Int32(0))
    #expect(bench.call("timer_create", 1, bench.scratch, bench.scratch + 64) == 0)
    #expect(try bench.get(64, Int32.self) == 0)
    for offset in [0, 8, 16] as [UInt64] { try bench.put(0x100 + offset, UInt64(0)) }
    try bench.put(0x118, UInt64(50))
    #expect(bench.call("timer_settime", 0, 0, bench.scratch + 0x100, 0) == 0)
    bench.advance(60)
    #expect(bench.task.process.pending.set.contains(10))
    #expect(bench.call("timer_gettime", 0, bench.scratch) == 0)
    #expect(try bench.get(24, UInt64.self) == 0)
    #expect(bench.call("timer_delete", 0) == 0)
    #expect(bench.call("timer_delete", 0) == failed(.EINVAL))
  }

  @Test func identity() throws {
    let bench = try TasksBench()
    #expect(bench.call("getuid") == 0)
    #expect(bench.call("setresuid", 1000, 1000, 1000) == 0)
    #expect(bench.call("geteuid") == 1000)
    #expect(bench.call("setuid", 0) == failed(.EPERM))
    #expect(bench.call("prctl", 15, bench.scratch) == 0)
    try bench.task.space?.write(bench.scratch, Array("a-very-long-name-here\0".utf8))
    #expect(bench.call("prctl", 15, bench.scratch) == 0)
    #expect(bench.task.comm == "a-very-long-nam")
    #expect(bench.call("reboot") == failed(.EPERM))
    #expect(bench.call("socket", 2, 1, 0) == failed(.EAFNOSUPPORT))
    #expect(bench.call("getrandom", bench.scratch, 16, 0) == 16)
    #expect(bench.call("getrandom", 0x10, 16, 0) == failed(.EFAULT))
  }

  @Test func structures() {
    let attributes = FileAttributes(
      device: DeviceNumber(8, 1), inode: 77, mode: FileMode(.regular, 0o644), links: 2, uid: 3,
      gid: 4, representedDevice: DeviceNumber(0, 0), size: 1000, blockSize: 4096, blocks: 8,
      accessed: 1_000_000_001, modified: -1, changed: 0, created: 0)
    let stat = ABI.stat(attributes, .generic)
    #expect(stat.count == 128)
    #expect(stat.get(0, UInt64.self) == 0x801)
    #expect(stat.get(16, UInt32.self) == 0o100644)
    #expect(stat.get(48, UInt64.self) == 1000)
    #expect(stat.get(72, Int64.self) == 1 && stat.get(80, Int64.self) == 1)
    #expect(stat.get(88, Int64.self) == -1 && stat.get(96, Int64.self) == 999_999_999)
    #expect(ABI.statx(attributes).count == 256)
    #expect(ABI.sysinfo(uptime: 1, total: 2, free: 3, processes: 4).count == 112)
    #expect(ABI.utsname(["Linux"]).count == 390)
    #expect(ABI.rusage(runtime: 0, usage: TaskUsage(), maxResidentKB: 0).count == 144)
  }

  /// Every call, with arguments that mean something and with nonsense: Swift must not trap.
  @Test func nothingTraps() throws {
    var random = Splitmix(state: 1)
    var calls: [String: Int] = [:]
    for _ in 0..<40 {
      let bench = try TasksBench()
      bench.call("pipe2", bench.scratch, 0)
      bench.call("epoll_create1", 0)
      bench.call("eventfd2", 1, 0)
      bench.call("timerfd_create", 1, 0)
      _ = try bench.fork()
      for row in SyscallTable.rows.shuffled(using: &random) {
        guard bench.kernel.exitStatus == nil else { break }
        guard let current = bench.kernel.current else {
          bench.advance(1_000_000_000)
          bench.schedule()
          if bench.kernel.current == nil { break }
          continue
        }
        let arguments = (0..<6).map { _ in argument(&random, bench) }
        calls[row.name, default: 0] += 1
        let result = bench.kernel.syscall(current, row.name, arguments)
        if result == nil || Int.random(in: 0..<10, using: &random) == 0 { bench.schedule() }
        if Int.random(in: 0..<20, using: &random) == 0, let now = bench.kernel.current {
          let reply = bench.signals(now)
          if reply.value >> 32 != 0 { _ = bench.kernel.gate(9, arguments: [0]) }
          if reply.action.contains(.block) || reply.value != 0 { bench.schedule() }
        }
        bench.clock.now &+= 1000
      }
    }
    for row in SyscallTable.rows { #expect(calls[row.name] ?? 0 > 0, "\(row.name)") }
  }

  @Test func gateTakesAnything() throws {
    var random = Splitmix(state: 2)
    for _ in 0..<4 {
      let bench = try TasksBench()
      for _ in 0..<400 {
        let arguments = (0..<Int.random(in: 0..<6, using: &random)).map { _ in
          argument(&random, bench)
        }
        _ = bench.kernel.gate(UInt64.random(in: 0..<14, using: &random), arguments: arguments)
        _ = bench.kernel.nextDeadline
      }
    }
  }

  private func argument(_ random: inout Splitmix, _ bench: TasksBench) -> UInt64 {
    switch Int.random(in: 0..<8, using: &random) {
    case 0: UInt64.random(in: 0..<8, using: &random)
    case 1: bench.scratch &+ UInt64.random(in: 0..<0x10000, using: &random)
    case 2: bench.scratch &+ UInt64.random(in: 0..<0x1000, using: &random) & ~7
    case 3: UInt64.random(in: 0...(.max), using: &random)
    case 4: 1 << UInt64.random(in: 0..<64, using: &random)
    case 5: UInt64.max &- UInt64.random(in: 0..<200, using: &random)
    case 6: bench.task.block.regsVA &+ UInt64.random(in: 0..<64, using: &random)
    default: UInt64.random(in: 0..<0x2000, using: &random)
    }
  }
}
