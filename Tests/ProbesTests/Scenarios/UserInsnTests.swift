import Engine
import Image
import Machine
import RISCV
import Testing

@testable import GuestKernel
@testable import Probes

/// Instructions: their lengths, their classes, where they are.
@Suite struct UserInsnTests {
  @Test(
    "U79 a function that does not begin with its frame is probed at its entry", arguments: guests)
  func entryWithoutPrologue(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> [Int] {
      let scene = try Scene(guest, "x1C1", legacy)
      try scene.probe("xorfn")
      try scene.probe("crossfn")
      #expect(scene.run() == .ended(.exited(0)))
      return scene.values
    }
    // The first instruction is left out, and the result is another one.
    #expect(try run(.skipsEntryInsns) == [1, 1])
    #expect(try run([]) == [84, 101])
  }

  @Test(
    "M21 the same short break over an instruction of any length; the rest stays", arguments: guests)
  func breakLength(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1h1")
    for length in [scene.facts.shortLength, 4] {
      #expect(scene.probes.isa.breakpoint(.uprobe, over: length) == scene.facts.brk)
    }
    let va = try scene.address("xorfn")
    try scene.probe("xorfn")
    try scene.probe("shortfn")
    try scene.run(until: { $0 == va })
    let brk = scene.facts.brk
    #expect(scene.text(va, 4) == brk + scene.facts.xor[brk.count..<4])
    let short = try scene.address("shortfn")
    let file = Int(try scene.rig.offset("shortfn"))
    #expect(scene.text(short, 4) == brk + scene.rig.elf[(file + brk.count)..<(file + 4)])
    scene.finish([84, 4])
  }

  @Test(
    "M21 an instruction that crosses a page: the break is in the first, the slot has all of it",
    arguments: guests)
  func crossing(guest: ProgramArchitecture) throws {
    for caches in [CacheModel.coherent, .architectural] {
      let scene = try Scene(guest, "C1C2", caches: caches)
      let probe = try scene.probe("crossfn")
      let va = try scene.address("crossfn")
      #expect(va & 4095 == 4094)
      let file = Int(try scene.rig.offset("crossfn"))
      try scene.run(until: { scene.area?.contains($0) == true })
      let slot = scene.rig.machine.hart.pc
      let brk = scene.facts.brk
      #expect(scene.text(va, 4) == brk + scene.rig.elf[(file + brk.count)..<(file + 4)])
      #expect(scene.text(slot, 4) == Array(scene.rig.elf[file..<(file + 4)]))
      scene.finish([101, 102])
      #expect(probe.hits == 2)
    }
  }

  @Test(
    "M21 each instruction of a function, probed alone and with all others, changes nothing",
    arguments: guests)
  func transparency(guest: ProgramArchitecture) throws {
    let plain = try Scene(guest, "y1y77")
    plain.run()
    let places = try plain.places(of: "sweepfn")
    for offset in places {
      let scene = try Scene(guest, "y1y77")
      let probe = try scene.probes.registerUprobe(
        UprobeRequest(scene.program, offset: offset) { _ in .continue })
      scene.finish(plain.values)
      // One is jumped over.
      #expect(probe.hits == 2 || probe.hits == 0)
    }
    let scene = try Scene(guest, "y1y77")
    let all = try places.map {
      try scene.probes.registerUprobe(
        UprobeRequest(scene.program, offset: $0) { _ in .continue })
    }
    scene.finish(plain.values)
    #expect(all.filter { $0.hits == 0 }.count == 1)
  }

  @Test(
    "boundary sweep: an event takes exactly the offsets at which instructions begin",
    arguments: guests)
  func sweepOfEvents(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "y1")
    let start = try scene.rig.offset("sweepfn")
    let places = Set(try scene.places(of: "sweepfn"))
    for offset in start..<(start + (try scene.size(of: "sweepfn"))) {
      let one = try Scene(guest, "y1")
      let events = ProgramProbes(one.rig.machine, subsystem: one.probes)
      var error: EventError?
      do throws(EventError) {
        try events.tracer.add("p:sweep \(one.rig.path):0x\(String(offset, radix: 16))")
      } catch let refused {
        error = refused
      }
      #expect((error == nil) == places.contains(offset), "0x\(String(offset, radix: 16))")
      if let error { #expect(error.errno == .EILSEQ) }
    }
  }

  @Test("boundary sweep: a registration looks at the encoding, as Linux's does", arguments: guests)
  func sweepOfRegistrations(guest: ProgramArchitecture) throws {
    // Deviation of none: what an offset holds is taken for an instruction if it is one.
    let scene = try Scene(guest, "y1")
    let start = try scene.rig.offset("sweepfn")
    let isa = scene.probes.isa
    var taken = 0
    for offset in start..<(start + (try scene.size(of: "sweepfn"))) {
      let bytes = Array(scene.rig.elf[Int(offset)...].prefix(isa.maxInsnLength))
      let expected: Errno? =
        if offset % isa.insnAlignment != 0 {
          .EINVAL
        } else if isa.isBreakpoint(bytes) {
          .EOPNOTSUPP
        } else {
          switch isa.classify(bytes, .user)?.verdict {
          case .outOfLine, .simulate: nil
          case .refuse(_, let why): why.errno(.user)
          case nil: .EINVAL
          }
        }
      if expected == nil { taken += 1 }
      let found = refusal {
        _ = try scene.probes.registerUprobe(
          UprobeRequest(scene.program, offset: offset) { _ in .continue })
      }
      #expect(found == expected, "0x\(String(offset, radix: 16))")
    }
    #expect(taken > (try scene.places(of: "sweepfn")).count)
  }

  @Test("M21 what is refused says which instruction and why", arguments: guests)
  func refusals(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1")
    // Of vforkfn only its system call.
    var reasons: [String] = []
    for offset in try scene.places(of: "vforkfn") {
      do {
        _ = try scene.probes.checkUprobe(scene.program, offset: offset)
      } catch {
        reasons.append(error.description)
      }
    }
    let (name, errno) = scene.facts.systemCall
    #expect(reasons.count == 1)
    #expect(reasons.first?.contains(name) == true && reasons.first?.contains("\(errno)") == true)
  }

  @Test("M21 a simulated jump that would trap does so, at its own address")
  func jumpThatTraps() throws {
    // Without compressed instructions a target has to be a multiple of four.
    let rig = try Rig("probes-rv64g.elf", ["l"], compressed: false)
    let offset = try rig.offset("tail3") + 4
    let symbol = try #require(try ELFFile(rig.elf).symbols.symbol("tail3"))
    let probe = try rig.probes.registerUprobe(
      UprobeRequest(.path(rig.path), offset: offset) { context in
        context.setRegister("ra", (context.register("ra") ?? 0) | 2)
        return .continue
      })
    #expect(rig.run() == .ended(.killed(Signal.SIGBUS)))
    #expect(rig.machine.kernel.fatalSignal?.pc == symbol.address + 4)
    #expect(probe.hits == 1)
  }

  @Test("M11 a simulated call whose push would fault does so, at its own address")
  func callThatFaults() throws {
    let scene = try Scene(.x86_64, "y1")
    let isa = scene.probes.isa
    let offset = try #require(
      scene.places(of: "sweepfn").first {
        isa.disassemble(Array(scene.rig.elf[Int($0)...].prefix(15)), at: 0).hasPrefix("call")
      })
    let va = try scene.address("sweepfn") + offset - scene.rig.offset("sweepfn")
    let probe = try scene.probes.registerUprobe(
      UprobeRequest(scene.program, offset: offset) { context in
        context.sp = 16
        return .continue
      })
    #expect(scene.run() == .ended(.killed(Signal.SIGSEGV)))
    #expect(scene.kernel.fatalSignal?.pc == va && scene.kernel.fatalSignal?.address == 8)
    #expect(probe.hits == 1)
  }

  @Test("M21 simulated jumps: link registers, odd targets, x0")
  func simulatedJumps() throws {
    let isa = RISCVProbeISA()
    let frame = UnsafeMutableRawPointer.allocate(byteCount: PtRegs.size, alignment: 8)
    defer { frame.deallocate() }
    func run(_ insn: Insn, _ registers: [Int: UInt64]) throws -> (pc: UInt64, x: [UInt64]) {
      frame.initializeMemory(as: UInt8.self, repeating: 0, count: PtRegs.size)
      for (number, value) in registers {
        frame.storeBytes(of: value, toByteOffset: PtRegs.x(number), as: UInt64.self)
      }
      frame.storeBytes(of: 0x1000, toByteOffset: PtRegs.epc, as: UInt64.self)
      let word = try #require(Encoder.encode(insn))
      let bytes = withUnsafeBytes(of: word.littleEndian) { Array($0) }
      let simulation = try #require(isa.simulation(of: bytes, at: 0x1000))
      #expect(simulation.run(frame, NoMemory()))
      func load(_ offset: Int) -> UInt64 {
        frame.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
      }
      return (load(PtRegs.epc), (1..<32).map { load(PtRegs.x($0)) })
    }
    // rd = rs1: the base is read before the link is written; bit 0 of the target is cleared.
    let same = try run(Insn(op: .jalr, rd: 1, rs1: 1, imm: 5), [1: 0x2000])
    #expect(same.pc == 0x2004 && same.x[0] == 0x1004)
    let ret = try run(Insn(op: .jalr, rd: 0, rs1: 1, imm: 0), [1: 0x3001])
    #expect(ret.pc == 0x3000 && ret.x[0] == 0x3001)
    let far = try run(Insn(op: .auipc, rd: 5, imm: -4096), [:])
    #expect(far.pc == 0x1004 && far.x[4] == 0)
    let taken = try run(Insn(op: .bltu, rs1: 5, rs2: 6, imm: -8), [5: 1, 6: .max])
    #expect(taken.pc == 0xff8)
    let not = try run(Insn(op: .blt, rs1: 5, rs2: 6, imm: -8), [5: 1, 6: .max])
    #expect(not.pc == 0x1004)
  }
}
