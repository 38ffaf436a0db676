import Engine
import GuestKernel
import Machine
import Testing

@testable import Probes

/// Events: what `perf_event_open` and the trace files let a user ask for.
@Suite struct KernelEventTests {
  /// Events on a program that runs the targets.
  final class Run {
    let rig: Rig
    let events: ProgramProbes
    var trace: [UInt8] = []
    var lines: [String] {
      String(decoding: trace, as: UTF8.self).split(separator: "\n").map(String.init)
    }
    var tracer: EventTracer { events.tracer }

    init(
      _ guest: ProgramArchitecture, _ legacy: LegacyPolicies = [], program: String? = nil
    ) throws {
      rig = try program.map { try Rig($0) } ?? Rig.targets(guest)
      rig.probes.legacy = legacy
      events = ProgramProbes(rig.machine, subsystem: rig.probes)
      events.tracer.output = { [unowned self] in trace += $0 }
    }

    func row(_ event: String) -> HitTable.Row? {
      tracer.hits.rows.first { $0.event == event }
    }
  }

  @Test("U16 the offset from the symbol is taken", arguments: guests)
  func offset(guest: ProgramArchitecture) throws {
    func places(_ legacy: LegacyPolicies) throws -> Set<String> {
      let run = try Run(guest, legacy)
      let insn = try run.rig.insns("probe_leaf")[2]
      let offset = insn.address &- (try run.rig.symbol("probe_leaf"))
      try run.tracer.add("p:e probe_leaf+\(offset)")
      #expect(run.rig.run(limit: Rig.enough) == Rig.allRight)
      let places = run.lines.compactMap {
        $0.split(separator: "(").last?.split(separator: "/").first
      }
      return Set(places.map(String.init))
    }
    let rig = try Rig.targets(guest)
    let plus = try rig.insns("probe_leaf")[2].address &- rig.symbol("probe_leaf")
    #expect(try places(.eventOffsetIgnored) == ["probe_leaf+0x0"])
    #expect(try places([]) == ["probe_leaf+0x" + String(plus, radix: 16)])
  }

  @Test("U17 an event at a raw address", arguments: guests)
  func address(guest: ProgramArchitecture) throws {
    let run = try Run(guest)
    let address = try run.rig.symbol("probe_leaf")
    try run.tracer.add("p:e 0x\(String(address, radix: 16))")
    #expect(run.rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(run.lines.count == 10)
    #expect(run.lines.allSatisfy { $0.contains("e: (probe_leaf+0x0/") })
  }

  @Test("U18 an event is enabled from the start, and can be disabled", arguments: guests)
  func enabled(guest: ProgramArchitecture) throws {
    let legacy = try Run(guest, .eventsStartDisabled)
    try legacy.tracer.add("p:e probe_leaf")
    #expect(legacy.rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(legacy.lines.isEmpty)

    let run = try Run(guest)
    try run.tracer.add("p:e probe_leaf")
    try run.tracer.add("r:f probe_leaf")
    #expect(run.tracer.isEnabled("e", group: "kprobes") == true)
    let address = try run.rig.symbol("probe_leaf")
    let armed = run.rig.text(address)
    var calls = 0
    try run.rig.kprobe(
      "probe_stacked",
      pre: { _ in
        calls += 1
        if calls == 3 { try? run.tracer.setEnabled("e", group: "kprobes", false) }
        if calls == 3 { try? run.tracer.setEnabled("f", group: "kprobes", false) }
        if calls == 4 { #expect(run.rig.text(address) != armed) }
        if calls == 8 { try? run.tracer.setEnabled("e", group: "kprobes", true) }
        return .continue
      })
    #expect(run.rig.run(limit: Rig.enough) == Rig.allRight)
    // probe_leaf comes before probe_stacked in each round.
    #expect(run.row("e")?.hits == 5 && run.row("f")?.hits == 3)
    #expect(run.lines.count == 8)
    #expect(throws: ProbeError.self) { try run.tracer.setEnabled("g", group: "kprobes", true) }
  }

  @Test("U19 hits of some tasks only, and of some harts only", arguments: guests)
  func filters(guest: ProgramArchitecture) throws {
    func lines(_ legacy: LegacyPolicies, _ filter: EventFilter) throws -> (Int, UInt64?) {
      let run = try Run(guest, legacy)
      try run.tracer.add("p:e probe_leaf")
      try run.tracer.setFilter(filter, of: "e", group: "kprobes")
      #expect(run.rig.run(limit: Rig.enough) == Rig.allRight)
      return (run.lines.count, run.row("e")?.hits)
    }
    for filter in [EventFilter(pids: [2]), EventFilter(cpus: [1]), EventFilter(pids: [])] {
      #expect(try lines(.eventFiltersIgnored, filter) == (10, 10))
      // The table counts every hit, as `kprobe_profile` does.
      #expect(try lines([], filter) == (0, 10))
    }
    #expect(try lines([], EventFilter(pids: [1, 7], cpus: [0])) == (10, 10))
  }

  @Test("U19 a task and its child are told apart", arguments: guests)
  func filterOfChild(guest: ProgramArchitecture) throws {
    let run = try Run(guest, program: "forks.elf")
    try run.tracer.add("p:e ksys_write")
    try run.tracer.add("p:all ksys_write")
    run.tracer.filter = EventFilter(cpus: [0])
    try run.tracer.setFilter(EventFilter(pids: [1]), of: "e", group: "kprobes")
    #expect(run.rig.run() == Rig.allRight)
    let first = run.lines.filter { $0.contains(" e: ") }
    let all = run.lines.filter { $0.contains(" all: ") }
    #expect(!first.isEmpty && first.count < all.count)
    #expect(first.allSatisfy { $0.contains("forks.elf-1 ") })
    #expect(first.count == all.count { $0.contains("forks.elf-1 ") })
    #expect(throws: ProbeError.self) {
      try run.tracer.setFilter(EventFilter(), of: "none", group: "kprobes")
    }
  }

  @Test("U20 maxactive of an event", arguments: [1, 4], guests)
  func maxactive(_ count: Int, guest: ProgramArchitecture) throws {
    func row(_ legacy: LegacyPolicies) throws -> HitTable.Row? {
      let run = try Run(guest, legacy)
      try run.tracer.add("r\(count):e probe_fib $retval:u32")
      #expect(run.rig.run(limit: Rig.enough) == Rig.allRight)
      return run.row("e")
    }
    // fib(10) has at most ten calls under way.
    #expect(try row(.fixedMaxactive)?.missed == 0)
    let right = try #require(try row([]))
    #expect(right.missed > 0 && right.hits + right.missed == 1770)
    if count == 1 { #expect(right.hits == 10) }
  }

  // MARK: Programs

  @Test("U54 a program runs at the entry, with pc = the probed address", arguments: guests)
  func programAtEntry(guest: ProgramArchitecture) throws {
    func seen(_ legacy: LegacyPolicies) throws -> (pcs: Set<UInt64>, sps: Set<UInt64>, UInt64) {
      let run = try Run(guest, legacy)
      var pcs: Set<UInt64> = []
      var sps: Set<UInt64> = []
      var entries: Set<UInt64> = []
      try run.rig.kprobe(
        "probe_stacked",
        pre: {
          entries.insert($0.sp)
          return .continue
        })
      try run.tracer.add("p:e probe_stacked")
      try run.tracer.attach(
        ClosureProgram {
          pcs.insert($0.pc)
          sps.insert($0.sp)
          return 1
        }, to: "e", group: "kprobes")
      #expect(run.rig.run(limit: Rig.enough) == Rig.allRight)
      #expect(legacy.isEmpty == (sps == entries))
      return (pcs, sps, try run.rig.symbol("probe_stacked"))
    }
    // After the step: the stack pointer is moved already, and pc is the end of the slot.
    let legacy = try seen(.programAfterStep)
    #expect(legacy.pcs.count == 1 && !legacy.pcs.contains(legacy.2))
    let right = try seen([])
    #expect(right.pcs == [right.2])
  }

  @Test("U54 a program at a return sees where the function returns to", arguments: guests)
  func programAtReturn(guest: ProgramArchitecture) throws {
    let run = try Run(guest)
    try run.tracer.add("r:e probe_leaf")
    var isRight = true
    try run.tracer.attach(
      ClosureProgram {
        isRight = isRight && $0.pc == $0.returnAddress && $0.returnValue == 111 && $0.isReturn
        return 1
      }, to: "e", group: "kprobes")
    #expect(run.rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(isRight && run.lines.count == 10)
  }

  @Test("U54 a program of a uprobe runs before the instruction", arguments: guests)
  func programOfProgram(guest: ProgramArchitecture) throws {
    let rig = try Rig("hello.elf", guest: guest)
    let events = ProgramProbes(rig.machine, subsystem: rig.probes)
    try events.tracer.add("p:e ./hello.elf:main")
    var pcs: [UInt64] = []
    try events.tracer.attach(
      ClosureProgram {
        pcs.append($0.pc)
        #expect($0.pc == $0.function && $0.isUser)
        return 0
      }, to: "e", group: "uprobes")
    var lines = 0
    events.tracer.output = { _ in lines += 1 }
    #expect(rig.run() == Rig.allRight)
    #expect(pcs.count == 1 && lines == 0)
  }

  @Test(
    "U54 a program that changes the pc has the instruction skipped (bpf_override_return)",
    arguments: guests)
  func overrideReturn(guest: ProgramArchitecture) throws {
    let rig = try Rig("probes.elf", ["k"], guest: guest)
    let events = ProgramProbes(rig.machine, subsystem: rig.probes)
    try events.tracer.add("p:e \(rig.syscall("getpid"))")
    try events.tracer.attach(
      ClosureProgram {
        if case .redirect(let back) = $0.overrideFunction(returning: 4) { $0.pc = back }
        return 1
      }, to: "e", group: "kprobes")
    #expect(rig.run(limit: Rig.enough) == .ended(.exited(40)))
  }

  @Test("U55 a program's return value filters the event", arguments: guests)
  func programFilters(guest: ProgramArchitecture) throws {
    func lines(_ legacy: LegacyPolicies) throws -> Int {
      let run = try Run(guest, legacy)
      try run.tracer.add("r20:e probe_fib $retval:u32")
      // Two programs: both must want it, and both run.
      var runs = 0
      for value in [UInt64(1), 2] {
        try run.tracer.attach(
          ClosureProgram {
            runs += 1
            return $0.returnValue == value ? 0 : 1
          }, to: "e", group: "kprobes")
      }
      #expect(run.rig.run(limit: Rig.enough) == Rig.allRight)
      #expect(run.row("e")?.hits == 1770 && runs == 2 * 1770)
      if legacy.isEmpty {
        #expect(!run.lines.contains { $0.hasSuffix("arg1=1") || $0.hasSuffix("arg1=2") })
      }
      return run.lines.count
    }
    #expect(try lines(.programResultIgnored) == 1770)
    // Of 177 calls, 55 + 34 return fib(1) = fib(2) = 1, and 21 return fib(3) = 2.
    #expect(try lines([]) == 10 * (177 - 89 - 21))
  }

  @Test("U56 a program of another type is refused", arguments: guests)
  func programType(guest: ProgramArchitecture) throws {
    let types: [EventProgramType] = [.tracepoint, .rawTracepoint, .perfEvent, .socketFilter]
    for type in types {
      let legacy = try Run(guest, .programTypeUnchecked)
      try legacy.tracer.add("p:e probe_leaf")
      var runs = 0
      let program = ClosureProgram(type) { _ in
        runs += 1
        return 1
      }
      try legacy.tracer.attach(program, to: "e", group: "kprobes")
      #expect(legacy.rig.run(limit: Rig.enough) == Rig.allRight)
      // It was given registers, and takes them for something else.
      #expect(runs == 10)

      let run = try Run(guest)
      try run.tracer.add("p:e probe_leaf")
      runs = 0
      #expect(throws: ProbeError(.EINVAL, "a program of type \(type) is not for probes")) {
        try run.tracer.attach(program, to: "e", group: "kprobes")
      }
      #expect(run.rig.run(limit: Rig.enough) == Rig.allRight)
      #expect(runs == 0 && run.lines.count == 10)
    }
  }

  @Test(arguments: guests) func attachingHasErrnos(guest: ProgramArchitecture) throws {
    let run = try Run(guest)
    try run.tracer.add("p:e probe_leaf")
    func errno(_ body: () throws(ProbeError) -> Void) -> Errno? {
      do throws(ProbeError) {
        try body()
        return nil
      } catch { return error.errno }
    }
    let first = ClosureProgram { _ in 1 }
    let tracer = run.tracer
    #expect(
      errno { () throws(ProbeError) in try tracer.attach(first, to: "x", group: "y") } == .ENOENT)
    for program in [first] + (1..<64).map({ _ in ClosureProgram { _ in 1 } }) {
      try tracer.attach(program, to: "e", group: "kprobes")
    }
    #expect(
      errno { () throws(ProbeError) in try tracer.attach(first, to: "e", group: "kprobes") }
        == .EEXIST)
    let last = ClosureProgram { _ in 0 }
    #expect(
      errno { () throws(ProbeError) in try tracer.attach(last, to: "e", group: "kprobes") }
        == .E2BIG)
    #expect(
      errno { () throws(ProbeError) in try tracer.detach(last, from: "e", group: "kprobes") }
        == .ENOENT)
    try tracer.detach(first, from: "e", group: "kprobes")
    try tracer.attach(last, to: "e", group: "kprobes")
    #expect(run.rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(run.lines.isEmpty)
  }
}
