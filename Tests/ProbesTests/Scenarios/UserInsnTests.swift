import Engine
import Image
import Machine
import RISCV
import Testing

@testable import GuestKernel
@testable import Probes

/// Instructions: their lengths, their classes, where they are.
@Suite struct UserInsnTests {
  /// The offsets in `sweepfn` at which instructions begin.
  private func boundaries(_ scene: Scene) throws -> [UInt64] {
    let start = try scene.rig.offset("sweepfn")
    let end = start + 40
    var at = start
    var all: [UInt64] = []
    while at < end {
      all.append(at)
      at += scene.rig.elf[Int(at)] & 3 == 3 ? 4 : 2
    }
    #expect(at == end)
    return all
  }

  @Test("U79 a function that does not begin with its frame is probed at its entry")
  func entryWithoutPrologue() throws {
    func run(_ legacy: LegacyPolicies) throws -> [Int] {
      let scene = try Scene("x1C1", legacy)
      try scene.probe("xorfn")
      try scene.probe("crossfn")
      #expect(scene.run() == .ended(.exited(0)))
      return scene.values
    }
    // The first instruction is left out, and the result is another one.
    #expect(try run(.skipsEntryInsns) == [1, 1])
    #expect(try run([]) == [84, 101])
  }

  @Test("M21 a break of two bytes over an instruction of either length; the rest stays")
  func breakLength() throws {
    let isa = RISCVProbeISA()
    #expect(isa.breakpoint(.uprobe, over: 2) == shortBreak)
    #expect(isa.breakpoint(.uprobe, over: 4) == shortBreak)
    let scene = try Scene("x1h1")
    let va = try scene.address("xorfn")
    try scene.probe("xorfn")
    try scene.probe("shortfn")
    try scene.run(until: { $0 == va })
    #expect(scene.text(va, 4) == [0x02, 0x90, 0x55, 0x05])
    let short = try scene.address("shortfn")
    #expect(scene.text(short, 4) == [0x02, 0x90, 0x82, 0x80])
    scene.finish([84, 4])
  }

  @Test("M21 an instruction that crosses a page: the break is in the first, the slot has all of it")
  func crossing() throws {
    for caches in [CacheModel.coherent, .architectural] {
      let scene = try Scene("C1C2", caches: caches)
      let probe = try scene.probe("crossfn")
      let va = try scene.address("crossfn")
      #expect(va & 4095 == 4094)
      let file = Int(try scene.rig.offset("crossfn"))
      try scene.run(until: { scene.area?.contains($0) == true })
      let slot = scene.rig.machine.hart.pc
      #expect(scene.text(va, 4) == [0x02, 0x90] + scene.rig.elf[(file + 2)..<(file + 4)])
      #expect(scene.text(slot, 4) == Array(scene.rig.elf[file..<(file + 4)]))
      scene.finish([101, 102])
      #expect(probe.hits == 2)
    }
  }

  @Test("M21 each instruction of a function, probed alone and with all others, changes nothing")
  func transparency() throws {
    let plain = try Scene("y1y77")
    plain.run()
    let places = try boundaries(plain)
    for offset in places {
      let scene = try Scene("y1y77")
      let probe = try scene.probes.registerUprobe(
        UprobeRequest(scene.program, offset: offset) { _ in .continue })
      scene.finish(plain.values)
      // One is jumped over.
      #expect(probe.hits == 2 || probe.hits == 0)
    }
    let scene = try Scene("y1y77")
    let all = try places.map {
      try scene.probes.registerUprobe(
        UprobeRequest(scene.program, offset: $0) { _ in .continue })
    }
    scene.finish(plain.values)
    #expect(all.filter { $0.hits == 0 }.count == 1)
  }

  @Test("boundary sweep: an event takes exactly the offsets at which instructions begin")
  func sweepOfEvents() throws {
    let scene = try Scene("y1")
    let start = try scene.rig.offset("sweepfn")
    let places = Set(try boundaries(scene))
    for offset in start..<(start + 40) {
      let one = try Scene("y1")
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

  @Test("boundary sweep: a registration looks at the encoding, as Linux's does")
  func sweepOfRegistrations() throws {
    // Deviation of none: what an offset holds is taken for an instruction if it is one.
    let scene = try Scene("y1")
    let start = try scene.rig.offset("sweepfn")
    let isa = RISCVProbeISA()
    for offset in start..<(start + 40) {
      let bytes = Array(scene.rig.elf[Int(offset)..<Int(offset + 4)])
      let expected: Errno? =
        if offset % 2 == 1 {
          .EINVAL
        } else {
          switch isa.classify(bytes)?.verdict {
          case .outOfLine, .simulate: nil
          case .refuse, nil: isa.isBreakpoint(bytes) ? .EOPNOTSUPP : .EINVAL
          }
        }
      let found = refusal {
        _ = try scene.probes.registerUprobe(
          UprobeRequest(scene.program, offset: offset) { _ in .continue })
      }
      #expect(found == expected, "0x\(String(offset, radix: 16))")
    }
  }

  @Test("M21 what is refused says which instruction and why")
  func refusals() throws {
    let scene = try Scene("x1")
    // vforkfn: its ecall is its fourth instruction, behind li, li, li.
    let start = try scene.rig.offset("vforkfn")
    var reasons: [String] = []
    for offset in stride(from: start, to: start + 20, by: 2) {
      do {
        _ = try scene.probes.checkUprobe(scene.program, offset: offset)
      } catch {
        reasons.append(error.description)
      }
    }
    #expect(reasons.contains { $0.contains("ecall") && $0.contains("EINVAL") })
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
