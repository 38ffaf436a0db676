import Engine
import GuestKernel
import Machine
import Testing
import X86

@testable import Probes

/// Kernel probes of x86-64 without a second trap, and without any.
@Suite struct KprobeJumpTests {
  /// A machine whose program calls the probe targets ten times, and probes that become jumps at the
  /// first hit after they were registered.
  private func jumping(_ model: CacheModel = .coherent) throws -> Rig {
    let rig = try Rig("probes.elf", ["k"], cacheModel: model, guest: .x86_64)
    try rig.runTargets()
    rig.probes.optimisesKprobes = true
    return rig
  }

  private func text(_ rig: Rig, _ address: UInt64, _ count: Int = 5) -> [UInt8] {
    rig.machine.kernel.readKernel(address, count) ?? []
  }

  // MARK: Boosting

  @Test(arguments: models)
  func aCopyThatGoesBackByItselfTakesOneTrap(model: CacheModel) throws {
    func traps(boosts: Bool) throws -> UInt64 {
      let facts = X86ProbeISA(boosts: boosts)
      let rig = try Rig(
        "probes.elf", ["k"], cacheModel: model, facts: facts, guest: .x86_64)
      try rig.runTargets()
      let probe = try rig.probes.registerKprobe(KprobeRequest(.symbol("kprobe_target")))
      #expect(rig.probes.passage(of: probe) == (boosts ? .boosted : .stepped))
      #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
      #expect(probe.hits >= 10 && probe.nmissed == 0)
      return rig.machine.hart.x[Slot.exceptions] &- probe.hits
    }
    let plain = try Rig("probes.elf", ["k"], cacheModel: model, guest: .x86_64)
    try plain.runTargets()
    #expect(plain.run() == .ended(.exited(0)))
    #expect(try traps(boosts: true) == plain.machine.hart.x[Slot.exceptions])
    #expect(try traps(boosts: false) > plain.machine.hart.x[Slot.exceptions])
  }

  @Test func aPostHandlerThatJoinsHasTheCopyEndByATrap() throws {
    let rig = try Rig("probes.elf", ["k"], guest: .x86_64)
    try rig.runTargets()
    var posts = 0
    let one = try rig.probes.registerKprobe(KprobeRequest(.symbol("kprobe_target")))
    #expect(rig.probes.passage(of: one) == .boosted)
    let two = try rig.probes.registerKprobe(
      KprobeRequest(.symbol("kprobe_target"), post: { _ in posts += 1 }))
    #expect(rig.probes.passage(of: one) == .stepped)
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(posts >= 10 && two.hits == UInt64(posts) && one.hits == two.hits)
  }

  @Test func whatIsRelativeToRIPIsMovedInItsSlot() throws {
    let plain = try Rig("probes.elf", ["f"], guest: .x86_64).outcome()
    let rig = try Rig("probes.elf", ["f"], guest: .x86_64)
    let (probed, _) = try rig.probeText("__kprobes_text_end", "_etext", hasPost: false)
    let relative = probed.filter {
      guard let insn = rig.probes.insn(of: $0),
        case .insn(let known) = X86.Decoder.decode(insn.bytes)
      else { return false }
      return known.base == X86.Insn.rip
    }
    #expect(rig.outcome() == plain, "\(rig.messages)")
    let boosted = relative.filter { rig.probes.passage(of: $0) == .boosted }
    #expect(boosted.count > 5 && boosted.contains { $0.hits > 0 })
    #expect(probed.allSatisfy { $0.nmissed == 0 })
  }

  // MARK: Jumps

  @Test(arguments: models)
  func aProbeBecomesAJumpAndBytesComeBack(model: CacheModel) throws {
    let rig = try jumping(model)
    let address = try #require(rig.machine.kernel.symbol("probe_fib"))
    let before = text(rig, address)
    var arguments: [UInt64] = []
    var pcs: Set<UInt64> = []
    let probe = try rig.probes.registerKprobe(
      KprobeRequest(
        .address(address),
        pre: {
          arguments.append($0.argument(1) ?? 0)
          pcs.insert($0.pc)
          // Not heard by a jump.
          let isJump = rig.probes.kprobes.points[address]?.detour?.isJump ?? false
          return isJump ? .skip : .continue
        }))
    #expect(rig.probes.passage(of: probe) == .boosted)
    rig.probes.hurryKprobeOptimiser()
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(rig.probes.passage(of: probe) == .jump)
    #expect(text(rig, address)[0] == 0xe9)
    #expect(probe.hits == UInt64(arguments.count) && probe.hits >= 10 && probe.nmissed == 0)
    #expect(pcs == [address])
    rig.probes.unregister(probe)
    #expect(text(rig, address) == before)
    #expect(rig.probes.kprobes.detourSlots.inUse == 0)
  }

  /// A snapshot with the jump in kernel text, restored: the rest of the run is the same to the last byte.
  @Test(arguments: models)
  func aSnapshotWithAJumpGoesOn(model: CacheModel) throws {
    let rig = try jumping(model)
    let probe = try rig.probes.registerKprobe(KprobeRequest(.symbol("probe_fib")))
    rig.probes.hurryKprobeOptimiser()
    while rig.probes.passage(of: probe) != .jump || probe.hits < 3 {
      try #require(rig.run(limit: rig.machine.hart.count + 1000) == .limit)
    }
    let hits = probe.hits
    let snapshot = try rig.machine.snapshot()
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    let (count, total, end) = (rig.machine.hart.count, probe.hits, rig.machine.stateHash())
    #expect(total > hits)
    try rig.machine.restore(snapshot)
    #expect(rig.probes.passage(of: probe) == .jump)
    #expect(text(rig, probe.address)[0] == 0xe9)
    #expect(probe.hits == hits)
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(rig.machine.hart.count == count)
    #expect(probe.hits == total)
    #expect(rig.machine.stateHash() == end)
  }

  @Test func withoutHurryItStaysABreakForTwentyMilliseconds() throws {
    let rig = try jumping()
    let probe = try rig.probes.registerKprobe(KprobeRequest(.symbol("probe_fib")))
    #expect(rig.run() == .ended(.exited(0)))
    // The whole run takes less.
    #expect(rig.machine.kernel.now < 20_000_000)
    #expect(rig.probes.passage(of: probe) == .boosted)
    #expect(probe.hits >= 10)
  }

  @Test func theBreakComesFirstAndTheFirstByteLast() throws {
    let rig = try jumping()
    let probe = try rig.probes.registerKprobe(KprobeRequest(.symbol("probe_fib")))
    let before = text(rig, probe.address)
    var patches: [(UInt64, [UInt8])] = []
    rig.probes.kprobes.didPatch = { patches.append(($0 &- probe.address, $1)) }
    rig.probes.hurryKprobeOptimiser()
    #expect(rig.run() == .ended(.exited(0)))
    let jump = text(rig, probe.address)
    #expect(patches.map(\.0) == [0, 1, 0])
    #expect(patches.map(\.1) == [[0xcc], Array(jump[1...]), [0xe9]])
    patches = []
    rig.probes.optimisesKprobes = false
    #expect(patches.map(\.0) == [0, 1])
    #expect(patches.map(\.1) == [[0xcc], Array(before[1...])])
    rig.probes.unregister(probe)
    #expect(patches.last?.0 == 0)
  }

  @Test func whatAHandlerWritesToRegistersCounts() throws {
    let rig = try jumping()
    // The targets' table finds wrong results.
    let probe = try rig.probes.registerKprobe(
      KprobeRequest(
        .symbol("probe_fib"),
        pre: {
          $0.setArgument(1, 1)
          return .continue
        }))
    var results: Set<UInt64> = []
    _ = try rig.probes.registerKretprobe(
      KretprobeRequest(.symbol("probe_fib"), ret: { results.insert($0.returnValue) }))
    rig.probes.hurryKprobeOptimiser()
    #expect(rig.run() != .ended(.exited(0)))
    #expect(rig.probes.passage(of: probe) == .jump)
    #expect(results == [1])
  }

  @Test func aProbeInWhatAJumpCoversHasItBeABreak() throws {
    let rig = try jumping()
    let address = try #require(rig.machine.kernel.symbol("probe_fib"))
    let first = try rig.probes.registerKprobe(KprobeRequest(.address(address)))
    rig.probes.hurryKprobeOptimiser()
    var rounds = 0
    while rig.probes.passage(of: first) != .jump, rounds < 1000 {
      rounds += 1
      _ = rig.run(limit: rig.machine.hart.count &+ 1000)
    }
    #expect(rig.probes.passage(of: first) == .jump)
    // cmp edi, 1 behind mov eax, edi.
    let second = try rig.probes.registerKprobe(KprobeRequest(.address(address &+ 2)))
    #expect(rig.probes.passage(of: first) == .boosted)
    #expect(text(rig, address, 3) == [0xcc, 0xf8, 0xcc])
    rig.probes.unregister(second)
    rig.probes.hurryKprobeOptimiser()
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(rig.probes.passage(of: first) == .jump)
  }

  @Test func aPostHandlerKeepsTheBreak() throws {
    let rig = try jumping()
    let first = try rig.probes.registerKprobe(KprobeRequest(.symbol("probe_fib")))
    var posts: UInt64 = 0
    var second: Kprobe?
    // Joins once the first is a jump.
    _ = try rig.probes.registerKprobe(
      KprobeRequest(
        .symbol("kprobe_target2"),
        pre: { _ in
          if second == nil, rig.probes.passage(of: first) == .jump {
            second = try? rig.probes.registerKprobe(
              KprobeRequest(.symbol("probe_fib"), post: { _ in posts += 1 }))
          }
          return .continue
        }))
    rig.probes.hurryKprobeOptimiser()
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(rig.probes.passage(of: first) == .stepped)
    #expect(posts > 0 && second?.hits == posts)
  }

  @Test("no jump: too few bytes, a jump into them, what can't be copied, a function with fixups")
  func placesOfNoJump() throws {
    let rig = try jumping()
    func becomes(_ place: KernelPlace) throws -> Bool {
      let probe = try rig.probes.registerKprobe(KprobeRequest(place))
      defer { rig.probes.unregister(probe) }
      return rig.probes.kprobes.points[probe.address]?.detour != nil
    }
    #expect(try becomes(.symbol("probe_fib")))
    // ret, the last instruction; two movs and a div, which may not go back by itself.
    #expect(try !becomes(.symbol("kprobe_target", offset: 10)))
    #expect(try !becomes(.symbol("kprobe_target")))
    // A loop's head is jumped to: behind the first byte of a jump that begins before it.
    let isa = rig.probes.isa
    let start = try #require(rig.machine.kernel.symbol("probe_leaf"))
    let end = try #require(rig.machine.kernel.symbol("probe_pcrel"))
    var at = start
    var targets: Set<UInt64> = []
    var insns: [UInt64] = []
    while at < end {
      let bytes = rig.probes.kprobes.original(at)
      insns.append(at)
      if case .jump(let to)? = isa.detours?.flow(bytes, at: at) { targets.insert(to) }
      at &+= UInt64(try #require(isa.length(bytes)))
    }
    for insn in insns where targets.contains(where: { $0 > insn && $0 <= insn &+ 5 }) {
      #expect(try !becomes(.address(insn)))
    }
    // The function has an entry in the exception table.
    #expect(try !becomes(.symbol("__copy_user_probe")))
  }

  @Test(arguments: models)
  func everyFunctionOfTheKernelAsAJump(model: CacheModel) throws {
    let plain = try Rig("probes.elf", ["f"], guest: .x86_64).outcome()
    let rig = try Rig("probes.elf", ["f"], cacheModel: model, guest: .x86_64)
    rig.probes.optimisesKprobes = true
    let image = try #require(rig.machine.kernel.image)
    var probes: [Kprobe] = []
    for symbol in image.elf.symbols.all where symbol.kind == .function {
      if let probe = try? rig.probes.registerKprobe(KprobeRequest(.symbol(symbol.name))) {
        probes.append(probe)
      }
    }
    rig.probes.hurryKprobeOptimiser()
    #expect(rig.outcome() == plain, "\(rig.messages)")
    let jumps = probes.filter { rig.probes.passage(of: $0) == .jump }
    #expect(jumps.count > 50)
    #expect(jumps.filter { $0.hits > 1 }.count > 10)
    #expect(probes.allSatisfy { $0.nmissed == 0 })
    for probe in probes { rig.probes.unregister(probe) }
    #expect(rig.probes.kprobes.detourSlots.inUse == 0)
    for probe in probes {
      let pa = try #require(image.physical(probe.address))
      #expect(
        text(rig, probe.address, 15) == rig.machine.kernel.ram.bytes(pa, 15))
    }
  }

  @Test func aReturnProbeAtAJump() throws {
    let rig = try jumping()
    var results: [UInt64] = []
    let probe = try rig.probes.registerKretprobe(
      KretprobeRequest(.symbol("probe_fib"), maxactive: 64, ret: { results.append($0.returnValue) })
    )
    rig.probes.hurryKprobeOptimiser()
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(rig.probes.passage(of: probe.kprobe) == .jump)
    #expect(results.count > 100 && probe.nmissed == 0 && probe.active == 0)
  }
}
