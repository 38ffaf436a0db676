import Engine
import Machine
import Testing

@testable import GuestKernel
@testable import Probes

/// Return probes of programs.
@Suite struct UserReturnTests {
  @Test("U04 a return probe sees what a function returns, and where to", arguments: guests)
  func returnProbe(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1U5")
    var seen: [UInt64] = []
    var places: Set<UInt64> = []
    let probe = try scene.returns("xorfn") { context in
      seen.append(context.returnValue)
      places.insert(context.pc)
      #expect(context.isReturn && context.pc == context.returnAddress)
    }
    let nested = try scene.returns("inner") { seen.append($0.returnValue) }
    scene.finish([84, 11])
    #expect(seen == [84, 6] && probe.hits == 1 && nested.hits == 1)
    // To its only caller.
    #expect(places.count == 1)
  }

  @Test("U52 a return probe is given all registers, and they are the function's", arguments: guests)
  func completeRegs(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> (entry: [UInt64], ret: [UInt64], values: [Int]) {
      let scene = try Scene(guest, "U5", legacy)
      var entry: [UInt64] = []
      var ret: [UInt64] = []
      let names = scene.facts.preserved
      var request = UprobeRequest(scene.program, offset: try scene.rig.offset("middle")) {
        entry = names.compactMap($0.register) + [$0.caller ?? 0]
        entry[0] += scene.facts.popped
        return .continue
      }
      request.ret = { context in
        ret = names.compactMap(context.register) + [context.pc]
        #expect(context.isUser)
      }
      _ = try scene.probes.registerUprobe(request)
      scene.finish([11])
      return (entry, ret, scene.values)
    }
    let wrong = try run(.returnRegsAreIncomplete)
    #expect(wrong.ret != wrong.entry)
    #expect(wrong.ret.first == 0 && wrong.ret.last == 0)
    let right = try run([])
    #expect(right.entry.count == 8 && right.ret == right.entry)
  }

  @Test(
    "U86 longjmp over probed frames: what is awaited is compared with the stack", arguments: guests)
  func longjmp(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> (ProgramExit, [Int], [String]) {
      let scene = try Scene(guest, "L3U5", legacy)
      var seen: [String] = []
      for name in ["thrower", "catcher", "outer"] {
        try scene.returns(name) { _ in seen.append(name) }
      }
      return (scene.run(2_000_000), scene.values, seen)
    }
    let right = try run([])
    #expect(right == (.ended(.exited(0)), [7, 11], ["catcher", "outer"]))
    let wrong = try run(.returnsAreLIFO)
    #expect(wrong.0 != right.0 || wrong.1 != right.1)
  }

  @Test("U86 a function that never returns is awaited in vain, and harms nobody", arguments: guests)
  func neverReturns(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "L2L2L2x2")
    let thrower = try scene.returns("thrower")
    let ret = try scene.returns("xorfn")
    var pending: [Int] = []
    try scene.probe("xorfn") { context in
      pending.append((context.task?.probeState as? UprobeTask)?.calls.count ?? 0)
      return .continue
    }
    // Of three times four frames the last four: each next call found the ones before dead.
    scene.finish([7, 7, 7, 87])
    #expect(thrower.hits == 0 && thrower.nmissed == 0 && ret.hits == 1)
    #expect(pending == [4])
    // A function that ends the process.
    let exits = try Scene(guest, "K0x1x2x3")
    let sleeper = try exits.returns("sleeper")
    try exits.probe("xorfn") { context in
      context.yield()
      return .continue
    }
    #expect(exits.run() == .ended(.exited(7)))
    #expect(sleeper.hits == 0 && exits.values == [84])
  }

  @Test(
    "M08 the trampoline is slot 0: it needs the page, and nobody waiting there is SIGILL",
    arguments: guests)
  func trampoline(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1x2")
    var ra: UInt64 = 0
    var area: Range<UInt64>?
    try scene.probe("xorfn") { context in
      // The newest handler runs first: the return address is still the program's.
      #expect(context.caller != area?.lowerBound || area == nil)
      return .continue
    }
    try scene.returns("xorfn") { _ in }
    try scene.run(until: { scene.area?.contains($0) == true && $0 != scene.area?.lowerBound })
    area = scene.area
    ra = try #require(scene.caller)
    #expect(ra == area?.lowerBound)
    #expect(scene.isArmed(ra))
    scene.finish([84, 87])
    // Jumping there with nobody awaited.
    let forged = try Scene(guest, "x1x2")
    try forged.returns("semfn")
    var base: UInt64 = 0
    try forged.probe("xorfn") { context in
      if let space = context.task?.space {
        base = forged.probes.uprobes.area(of: space)?.base ?? 0
      }
      return .redirect(base)
    }
    #expect(forged.run() == .ended(.killed(Signal.SIGILL)))
    #expect(base != 0)
  }

  @Test(
    "M08 without room for the page the entry is seen and the return is missed", arguments: guests)
  func noRoom(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1x2")
    var entries = 0
    let (function, step, _) = scene.facts.simulated
    var request = UprobeRequest(scene.program, offset: try scene.rig.offset(function)) { _ in
      .continue
    }
    request.ret = { _ in }
    _ = try scene.probes.registerUprobe(request)
    // The address space may not grow during the first call of a simulated instruction.
    let plain = try Scene(guest, "\(step)0\(step)0")
    plain.run()
    let other = try Scene(guest, "\(step)0\(step)0")
    var both = UprobeRequest(other.program, offset: try other.rig.offset(function)) { context in
      entries += 1
      context.task?.space?.limits.addressSpace = entries == 1 ? 0 : MM.RLIM_INFINITY
      return .continue
    }
    both.ret = { _ in }
    let probe = try other.probes.registerUprobe(both)
    other.finish(plain.values)
    #expect(entries == 2 && probe.hits == 1 && probe.nmissed == 1)
    scene.finish([84, 87])
  }

  @Test(
    "M09 a chain of tail calls returns at once, the innermost first, to the true caller",
    arguments: guests)
  func chain(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "A1Z1")
    var order: [String] = []
    var to: [UInt64] = []
    for name in ["tail1", "tail2", "tail3", "chain1", "chain2", "inner"] {
      try scene.returns(name) { context in
        order.append(name)
        to.append(context.returnAddress)
      }
    }
    scene.finish([77, 9])
    #expect(order == ["tail3", "tail2", "tail1", "inner", "chain2", "chain1"])
    // All members of a chain return to where the first was called from.
    #expect(Set(to[0..<3]).count == 1 && to[4] == to[5] && to[3] != to[4])
  }

  @Test("M09 a chain that longjmp leaves is forgotten at the next return", arguments: guests)
  func chainAndLongjmp(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "L0L2U5")
    var seen: [String] = []
    for name in ["throwtail", "thrower", "catcher", "outer"] {
      try scene.returns(name) { _ in seen.append(name) }
    }
    try scene.run(until: { _ in scene.values.count == 3 })
    #expect((scene.first?.probeState as? UprobeTask)?.calls.isEmpty == true)
    scene.finish([7, 7, 11])
    #expect(seen == ["catcher", "catcher", "outer"])
  }

  @Test("M09 frames that longjmp left are forgotten at the next call too", arguments: guests)
  func longjmpThenCall(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "Y4Y4")
    var seen: [String] = []
    var depth: [Int] = []
    for name in ["thrower", "inner"] {
      try scene.returns(name) { context in
        seen.append(name)
        depth.append((context.task?.probeState as? UprobeTask)?.calls.count ?? -1)
      }
    }
    scene.finish([6, 6])
    #expect(seen == ["inner", "inner"] && depth == [0, 0])
  }

  @Test("M09 the frame checks of each ISA: strict, but for a chain's", arguments: guests)
  func frameChecks(guest: ProgramArchitecture) throws {
    let isa = try Scene(guest, "").probes.isa
    let sp: UInt64 = 0x1000
    // Where a return takes a word off the stack, the frame below one that has returned is alive.
    let atReturn = guest == .x86_64
    for (when, equal) in [(FrameCheck.call, false), (.chainCall, true), (.ret, atReturn)] {
      #expect(isa.isFrameAlive(then: sp, now: sp - 16, when))
      #expect(isa.isFrameAlive(then: sp, now: sp, when) == equal)
      #expect(!isa.isFrameAlive(then: sp, now: sp + 16, when))
    }
  }

  @Test("M09 at most 64 calls are awaited; those beyond are missed", arguments: guests)
  func depth(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "N63N64N70")
    let probe = try scene.returns("deep")
    scene.finish([63, 64, 70])
    // deep(n) is n + 1 calls.
    #expect(probe.hits == 64 + 64 + 64)
    #expect(probe.nmissed == 0 + 1 + 7)
  }

  @Test("M20 a call chain shows where functions return to, not the trampoline", arguments: guests)
  func backtrace(guest: ProgramArchitecture) throws {
    func chain(_ returns: [String], _ steps: String) throws -> [UInt64] {
      let scene = try Scene(guest, steps)
      for name in returns { try scene.returns(name) }
      var chain: [UInt64] = []
      try scene.probe("inner") { context in
        chain = scene.probes.userBacktrace(context)
        return .continue
      }
      #expect(scene.run() == .ended(.exited(0)))
      #expect(!chain.contains { scene.area?.contains($0) == true })
      return chain
    }
    let plain = try chain([], "U5")
    #expect(plain.count >= 4)
    #expect(try chain(["inner"], "U5") == plain)
    #expect(try chain(["inner", "middle", "outer"], "U5") == plain)
    // Those who share a return with a tail call count once.
    let tails = try chain([], "Z5")
    #expect(try chain(["outer2"], "Z5") == tails)
    #expect(try chain(["chain1", "chain2", "inner"], "Z5") == tails)
    #expect(try chain(["outer2", "chain1", "chain2", "inner"], "Z5") == tails)
  }

  @Test("a return probe taken away while a call is under way lets it return", arguments: guests)
  func unregisterDuringTheCall(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "U5U6")
    var own: Uprobe?
    own = try scene.returns("outer")
    try scene.probe("inner") { _ in
      if let own { scene.probes.unregister(own) }
      return .continue
    }
    scene.finish([11, 12])
    #expect(own?.hits == 0)
  }

  @Test("who joins after the entry is told of the return, who has left is not", arguments: guests)
  func joinDuringTheCall(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "U5")
    var seen: [String] = []
    let first = try scene.returns("outer") { _ in seen.append("first") }
    var late: Uprobe?
    try scene.probe("inner") { _ in
      scene.probes.unregister(first)
      late = try? scene.returns("outer") { _ in seen.append("late") }
      return .continue
    }
    scene.finish([11])
    // The point of the call under way has lost all it had: whoever comes then makes a new one.
    #expect(seen == [] && late?.hits == 0)
    let other = try Scene(guest, "U5")
    try other.returns("outer") { _ in seen.append("stays") }
    try other.probe("inner") { _ in
      _ = try? other.returns("outer") { _ in seen.append("late") }
      return .continue
    }
    other.finish([11])
    #expect(seen == ["late", "stays"])
  }

  @Test("each return probe has what its own entry handler left", arguments: guests)
  func dataIsTheConsumers(guest: ProgramArchitecture) throws {
    final class Note {
      let text: String
      init(_ text: String) { self.text = text }
    }
    let scene = try Scene(guest, "U5")
    var seen: [String] = []
    for name in ["a", "b"] {
      var request = UprobeRequest(scene.program, offset: try scene.rig.offset("outer")) { context in
        if name == "a" { context.data = Note(name) }
        return .continue
      }
      request.ret = { seen.append("\(name):\(($0.data as? Note)?.text ?? "-")") }
      _ = try scene.probes.registerUprobe(request)
    }
    scene.finish([11])
    #expect(seen == ["b:-", "a:a"])
  }

  @Test(
    "M07 a child of fork has its own copy of what is awaited, at the same address",
    arguments: guests)
  func forkWithPendingReturns(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "FFx1..x2")
    var pids: Set<Int32> = []
    var bases: Set<UInt64> = []
    let probe = try scene.returns("forkfn") { context in
      pids.insert(context.tgid)
      let area = (context.task?.space?.probeState as? UprobeSpace)?.area
      bases.insert(area?.base ?? 0)
    }
    #expect(scene.run() == .ended(.exited(0)))
    #expect(scene.values.contains(84) && scene.values.contains(87))
    #expect(probe.hits == 4 && pids.count == 3 && bases.count == 1)
  }

  @Test("exec forgets what was awaited; the new program awaits its own", arguments: guests)
  func exec(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1E1x2U5")
    try scene.kernel.vfs.link(Path(scene.rig.path), to: "/other", scene.kernel.vfs.makeContext())
    let never = try scene.returns("execfn")
    let ret = try scene.returns("xorfn")
    let outer = try scene.returns("outer")
    var pending: Int?
    try scene.probe("outer") { context in
      pending = (context.task?.probeState as? UprobeTask)?.calls.count
      return .continue
    }
    scene.finish([84, 87, 11])
    #expect(never.hits == 0 && ret.hits == 2 && outer.hits == 1 && pending == 0)
    // Where it fails it returns, and is seen to.
    let failing = try Scene(guest, "x1E1")
    var error: UInt64 = 0
    try failing.returns("execfn") { error = $0.returnValue }
    failing.finish([84])
    #expect(error == UInt64(bitPattern: -Int64(Errno.ENOENT.rawValue)))
  }
}
