import Engine
import GuestKernel
import Image
import Machine
import Testing

@testable import Probes

extension Rig {
  /// The offset in the file of a symbol of the program.
  func offset(_ symbol: String) throws -> UInt64 {
    let file = try ELFFile(elf)
    guard let address = file.symbols.symbol(symbol)?.address,
      let segment = file.header.loadable.first(where: {
        address >= $0.address && address &- $0.address < $0.fileSize
      })
    else { throw Missing() }
    return address &- segment.address &+ segment.offset
  }

  /// Probes every instruction of the program's text that takes a probe.
  func probeProgram(
    from first: String, _ change: (inout UprobeRequest) -> Void = { _ in }
  ) throws -> (probed: [Uprobe], refused: [String]) {
    let file = try ELFFile(elf)
    guard let text = file.header.loadable.first(where: \.isExecutable) else { throw Missing() }
    var at = try offset(first)
    var probed: [Uprobe] = []
    var refused: [String] = []
    while at < text.offset &+ text.fileSize {
      var request = UprobeRequest(.path(path), offset: at, entry: { _ in .continue })
      change(&request)
      do {
        probed.append(try probes.registerUprobe(request))
      } catch {
        refused.append(error.description)
      }
      let isa = probes.isa
      let rest = Array(elf[Int(at)...].prefix(isa.maxInsnLength))
      at &+= UInt64(isa.length(rest) ?? Int(isa.insnAlignment))
    }
    return (probed, refused)
  }
}

@Suite struct UprobeTests {
  @Test(arguments: models, ProgramArchitecture.allCases)
  func hitsAreCounted(model: CacheModel, guest: ProgramArchitecture) throws {
    let plain = try Rig("probes.elf", ["l"], cacheModel: model, guest: guest).outcome()
    let rig = try Rig("probes.elf", ["l"], cacheModel: model, guest: guest)
    var sum: UInt64 = 0
    let probe = try rig.probes.registerUprobe(
      UprobeRequest(.path(rig.path), offset: rig.offset("tail3")) {
        sum &+= $0.argument(1) ?? 0
        return .continue
      })
    #expect(rig.outcome() == plain)
    #expect(probe.hits == 2000)
    #expect(sum == 1999 * 1000)
  }

  @Test(arguments: ["a", "s", "b", "f", "l", "d", "j"], [CacheModel.coherent, .architectural])
  func everyInstructionOfAProgramIsTransparent(mode: String, model: CacheModel) throws {
    for guest in ProgramArchitecture.allCases {
      let plain = try Rig("probes.elf", [mode], cacheModel: model, guest: guest).outcome()
      #expect(plain.exit == .ended(.exited(0)))
      let rig = try Rig("probes.elf", [mode], cacheModel: model, guest: guest)
      let (probed, refused) = try rig.probeProgram(from: guest == .riscv64 ? "_start" : "leaf")
      #expect(probed.count > 300)
      #expect(refused.allSatisfy { $0.contains("EINVAL") || $0.contains("EOPNOTSUPP") })
      #expect(rig.outcome() == plain)
      #expect(probed.contains { $0.hits > 0 })
    }
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func aReturnProbeSeesEveryReturnOfRecursion(guest: ProgramArchitecture) throws {
    let plain = try Rig("probes.elf", ["a"], guest: guest).outcome()
    let rig = try Rig("probes.elf", ["a"], guest: guest)
    var results: [UInt64] = []
    let probe = try rig.probes.registerUretprobe(.path(rig.path), offset: rig.offset("fib")) {
      results.append($0.returnValue)
      #expect($0.pc == $0.returnAddress)
    }
    #expect(rig.outcome() == plain)
    #expect(probe.hits > 10)
    #expect(results.last == 55)
    #expect(UInt64(results.count) == probe.hits)
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func returnProbesOfATailCallReturnTogetherTheInnermostFirst(guest: ProgramArchitecture) throws {
    let plain = try Rig("probes.elf", ["a"], guest: guest).outcome()
    let rig = try Rig("probes.elf", ["a"], guest: guest)
    var order: [String] = []
    for name in ["tail1", "tail2", "tail3"] {
      _ = try rig.probes.registerUretprobe(.path(rig.path), offset: rig.offset(name)) { _ in
        order.append(name)
      }
    }
    #expect(rig.outcome() == plain)
    #expect(order == ["tail3", "tail2", "tail1"])
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func aChainOfReturnProbesEndsAtDepth64(guest: ProgramArchitecture) throws {
    let plain = try Rig("probes.elf", ["d"], guest: guest).outcome()
    let rig = try Rig("probes.elf", ["d"], guest: guest)
    let probe = try rig.probes.registerUretprobe(.path(rig.path), offset: rig.offset("deep")) { _ in
    }
    #expect(rig.outcome() == plain)
    #expect(probe.hits == 64)
    #expect(probe.nmissed == 101 - 64)
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func framesThatLongjmpLeftHaveNoReturn(guest: ProgramArchitecture) throws {
    let plain = try Rig("probes.elf", ["a"], guest: guest).outcome()
    let rig = try Rig("probes.elf", ["a"], guest: guest)
    var seen: [String] = []
    for name in ["thrower", "catcher"] {
      _ = try rig.probes.registerUretprobe(.path(rig.path), offset: rig.offset(name)) { _ in
        seen.append(name)
      }
    }
    #expect(rig.outcome() == plain)
    #expect(seen == ["catcher"])
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func aForkedChildReturnsThroughItsOwnTrampoline(guest: ProgramArchitecture) throws {
    let plain = try Rig("probes.elf", ["f"], guest: guest).outcome()
    let rig = try Rig("probes.elf", ["f"], guest: guest)
    // `run` calls fork in its middle: both processes return from it, or exit before.
    var pids: Set<Int32> = []
    _ = try rig.probes.registerUretprobe(.path(rig.path), offset: rig.offset("all")) {
      pids.insert($0.pid)
    }
    #expect(rig.outcome() == plain)
    #expect(pids.count == 2)
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func aForgedReturnIsAnIllegalInstruction(guest: ProgramArchitecture) throws {
    let rig = try Rig("probes.elf", ["a"], guest: guest)
    // A handler sends the program to the trampoline although nobody is awaited there.
    var trampoline: UInt64 = 0
    _ = try rig.probes.registerUretprobe(.path(rig.path), offset: rig.offset("leaf")) { _ in }
    _ = try rig.probes.registerUprobe(
      UprobeRequest(.path(rig.path), offset: rig.offset("fib")) { context in
        trampoline = context.task?.space?.vmas.first { $0.name == "[uprobes]" }?.start ?? 0
        return .redirect(trampoline)
      })
    #expect(rig.run() == .ended(.killed(Signal.SIGILL)))
    #expect(trampoline != 0)
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func aFaultInTheSlotIsReportedAtTheInstruction(guest: ProgramArchitecture) throws {
    let plain = try Rig("probes.elf", ["s"], guest: guest).outcome()
    let rig = try Rig("probes.elf", ["s"], guest: guest)
    let probe = try rig.probes.registerUprobe(
      UprobeRequest(.path(rig.path), offset: rig.offset("fault_here")) { _ in .continue })
    #expect(rig.outcome() == plain)
    #expect(plain.output == "99\n1\n11\n1\n8\n")
    #expect(probe.hits == 1)
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func aProgramsOwnBreakIsItsOwn(guest: ProgramArchitecture) throws {
    let plain = try Rig("probes.elf", ["b"], guest: guest).outcome()
    let rig = try Rig("probes.elf", ["b"], guest: guest)
    _ = try rig.probes.registerUprobe(
      UprobeRequest(.path(rig.path), offset: rig.offset("plain")) { _ in .continue })
    #expect(rig.outcome() == plain)
    #expect(throws: ProbeError.self) {
      try rig.probes.registerUprobe(
        UprobeRequest(.path(rig.path), offset: rig.offset("break_here")) { _ in .continue })
    }
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func aLaterMappingIsProbedToo(guest: ProgramArchitecture) throws {
    let rig = try Rig("probes.elf", ["j"], guest: guest)
    var places: Set<UInt64> = []
    _ = try rig.probes.registerUprobe(
      UprobeRequest(.path(rig.path), offset: rig.offset("tail3")) {
        places.insert($0.pc)
        return .continue
      })
    #expect(rig.outcome() == Outcome(exit: .ended(.exited(0)), output: "84\n"))
    #expect(places.count == 1)
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func unregisteringFromAHandlerRestoresTheText(guest: ProgramArchitecture) throws {
    for model in [CacheModel.coherent, .architectural] {
      let plain = try Rig("probes.elf", ["l"], guest: guest).outcome()
      let rig = try Rig("probes.elf", ["l"], cacheModel: model, guest: guest)
      var own: Uprobe?
      var resident: [Int] = []
      let probe = try rig.probes.registerUprobe(
        UprobeRequest(.path(rig.path), offset: rig.offset("tail3")) { context in
          if let own, own.hits == 10 {
            resident.append(context.task?.space?.residentPages ?? 0)
            rig.probes.unregister(own)
            resident.append(context.task?.space?.residentPages ?? 0)
          }
          return .continue
        })
      own = probe
      #expect(rig.outcome() == plain)
      #expect(probe.hits == 10)
      #expect(!probe.isRegistered)
      #expect(resident.count == 2 && resident[1] < resident[0])
      // The private copy is gone: nothing but the file's page is there.
    }
  }

  @Test func redirectAndSkipAndAChangedPC() throws {
    let rig = try Rig("probes.elf", ["l"])
    _ = try rig.probes.registerUprobe(
      UprobeRequest(.path(rig.path), offset: rig.offset("tail3")) { context in
        context.returnValue = 1
        return .redirect(context.register("ra") ?? 0)
      })
    #expect(rig.outcome().output == "2000\n")
    let other = try Rig("probes.elf", ["l"])
    _ = try other.probes.registerUprobe(
      UprobeRequest(.path(other.path), offset: other.offset("tail3")) { _ in .skip })
    // Without its exclusive or, the function is the identity.
    #expect(other.outcome().output == "1999000\n")
    let third = try Rig("probes.elf", ["l"])
    _ = try third.probes.registerUprobe(
      UprobeRequest(.path(third.path), offset: third.offset("tail3")) {
        $0.pc &+= 4
        return .continue
      })
    #expect(third.outcome().output == "1999000\n")
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func aTaskWaitsForASlotWhereNoneIsFree(guest: ProgramArchitecture) throws {
    let plain = try Rig("probes.elf", ["l"], guest: guest).outcome()
    let rig = try Rig("probes.elf", ["l"], guest: guest)
    rig.probes.uprobes.slotCount = 2
    var taken: (UprobeArea, Int)?
    // Slots know their users by identity.
    var holder: UprobePoint?
    defer { withExtendedLifetime(holder) {} }
    let probe = try rig.probes.registerUprobe(
      UprobeRequest(.path(rig.path), offset: rig.offset("tail3")) { context in
        if taken == nil, let space = context.task?.space,
          let area = rig.probes.uprobes.area(of: space),
          let inode = rig.probes.uprobes.points.values.first?.inode,
          case let other = UprobePoint(inode, 0, referenceCounter: 0),
          let slot = area.take(for: other, { [1, 0] }, rig.machine.ram)?.slot
        {
          holder = other
          taken = (area, slot)
        }
        return .continue
      })
    #expect(rig.run() == .stuck)
    #expect(probe.hits == 1)
    taken?.0.release(taken?.1 ?? 0)
    rig.machine.kernel.interruptHart()
    #expect(rig.outcome() == plain)
    // The handler did not run again for the hit that had to wait.
    #expect(probe.hits == 2000)
  }

  @Test func breakingTheFetchSynchronisationFails() throws {
    // A second probe in a page, registered once its text has been fetched.
    func hits(_ legacy: LegacyPolicies, _ model: CacheModel) throws -> UInt64 {
      let rig = try Rig("probes.elf", ["l"], cacheModel: model)
      _ = try rig.probes.registerUprobe(
        UprobeRequest(.path(rig.path), offset: rig.offset("leaf")) { _ in .continue })
      rig.run(limit: 8000)
      rig.probes.legacy = legacy
      let probe = try rig.probes.registerUprobe(
        UprobeRequest(.path(rig.path), offset: rig.offset("tail3")) { _ in .continue })
      rig.run()
      return probe.hits
    }
    #expect(try hits([], .coherent) > 100)
    #expect(try hits([], .architectural) > 100)
    #expect(try hits(.noFetchSynchronisation, .architectural) == 0)
  }

  @Test func aRegistrationThatLinuxRefuses() throws {
    let rig = try Rig("probes.elf", ["l"])
    func errno(_ change: (inout UprobeRequest) -> Void) throws -> Errno? {
      var request = UprobeRequest(.path(rig.path), offset: try rig.offset("tail3")) { _ in .continue
      }
      change(&request)
      do {
        _ = try rig.probes.registerUprobe(request)
        return nil
      } catch { return error.errno }
    }
    #expect(try errno { $0.entry = nil } == .EINVAL)
    #expect(try errno { $0.offset += 1 } == .EINVAL)
    #expect(try errno { $0.offset = 1 << 40 } == .EINVAL)
    #expect(try errno { $0.referenceCounter = 3 } == .EINVAL)
    #expect(try errno { $0.file = .path("/nowhere") } == .ENOENT)
    #expect(try errno { $0.file = .path("/dev/null") } == .EIO)
    #expect(try errno { _ in } == nil)
    #expect(try errno { $0.referenceCounter = 0x2000 } == .EINVAL)
  }

  @Test(arguments: ProgramArchitecture.allCases)
  func aReferenceCounterIsOneWhileProbed(guest: ProgramArchitecture) throws {
    let rig = try Rig("probes.elf", ["l"], guest: guest)
    let counter = try rig.offset("table_of_data")
    var seen: [UInt8] = []
    var request = UprobeRequest(.path(rig.path), offset: try rig.offset("tail3")) { context in
      // The data segment is mapped where its symbol says.
      if let vma = context.task?.space?.vmas.first(where: {
        $0.file != nil && $0.prot & MM.PROT_WRITE != 0
      }) {
        seen = context.readUser(vma.start &+ (counter &- vma.pageOffset << 12), 2) ?? []
      }
      return .continue
    }
    request.referenceCounter = counter
    _ = try rig.probes.registerUprobe(request)
    rig.run()
    #expect(seen == [1, 0])
  }
}
