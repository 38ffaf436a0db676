import Testing

@testable import Engine
@testable import RISCV

/// Where what is kept about code and translations could outlive what it was made from.
@Suite struct CacheEdges {
  private static func bits(_ insn: Insn) -> UInt32 { Encoder.encode(insn) ?? 0 }

  /// A block that was made when all of its page was open must not run on into what is closed now.
  ///
  /// - SeeAlso: RISC-V Privileged ISA Manual, 'Physical Memory Protection'.
  @Test(arguments: CacheModel.allCases)
  func aPageOpenInPartEndsOldBlocks(caches: CacheModel) throws {
    let rig = try Rig(caches)
    rig.put(Rig.code, (1...8).map { .li(Reg.a0, $0) })
    rig["medeleg"] = 0xb1ff
    rig["priv"] = 1
    rig["pc"] = Rig.code
    rig.step(8)
    #expect(rig["a0"] == 8)
    // The first 8 bytes may be executed, the vector too, and nothing else.
    rig["pmpaddr0"] = Rig.code >> 2
    rig["pmpaddr1"] = Rig.supervisorVector >> 2 | 0x1ff
    rig["pmpcfg0"] = 0x1f1f
    rig["pc"] = Rig.code
    // Enough for the whole of the old block: it is not the budget that keeps it from running.
    rig.step(40)
    #expect(rig["a0"] == 2)
    #expect(rig["scause"] == 1)
    #expect(rig["sepc"] == Rig.code + 8)
    #expect(rig["stval"] == Rig.code + 8)
  }

  /// A device that a store sets going writes to the very block that the store is in.
  @Test func aDeviceRewritesTheRunningBlock() throws {
    let rig = try Rig()
    let device = RecordingDevice()
    rig.bus.attach(device, base: Rig.device, size: 0x1000)
    device.onWrite = { [unowned rig] in
      rig.ram.store(Rig.code + 8, Self.bits(.li(Reg.a0, 2)))
    }
    rig["a1"] = Rig.device
    rig.run([.store(0, Reg.a1), .nop, .li(Reg.a0, 1), .nop])
    #expect(rig["a0"] == 2)
  }

  /// A device's store is a store to reserved bytes like any other.
  @Test func aDeviceBreaksAReservation() throws {
    let rig = try Rig()
    let device = RecordingDevice()
    rig.bus.attach(device, base: Rig.device, size: 0x1000)
    device.onWrite = { [unowned rig] in rig.ram.store(Rig.data, UInt64(7)) }
    rig["a1"] = Rig.device
    rig["a2"] = Rig.data
    rig.run([
      Insn(op: .lr_d, rd: Reg.a0, rs1: Reg.a2), .store(0, Reg.a1),
      Insn(op: .sc_d, rd: Reg.a3, rs1: Reg.a2, rs2: Reg.a0),
    ])
    #expect(rig["a3"] == 1)
    #expect(rig.load(Rig.data) == 7)
  }

  private final class Asking: Device {
    weak var hart: Hart?
    func read(_ offset: UInt64, size: Int) -> UInt64 {
      hart?.requestInterruptCheck()
      return 0x3ff0_0000_0000_0000
    }
    func write(_ offset: UInt64, size: Int, _ value: UInt64) {}
  }

  /// A load from a device that has the block left behind it is still a whole instruction.
  @Test(arguments: [RISCV.Op.fld, .flw])
  func aLoadFromADeviceLeavesFloatingPointDirty(op: RISCV.Op) throws {
    let rig = try Rig()
    let device = Asking()
    device.hart = rig.hart
    rig.bus.attach(device, base: Rig.device, size: 0x1000)
    rig["mstatus"] = 1 << 13
    rig["a1"] = Rig.device + 0x20
    rig.run([Insn(op: op, rd: 3, rs1: Reg.a1, imm: -0x20)])
    #expect(rig["mstatus"] >> 13 & 3 == 3)
    #expect(rig["f3"] == (op == .fld ? 0x3ff0_0000_0000_0000 : 0xffff_ffff_0000_0000))
    #expect(rig["pc"] == Rig.code + 4)
    // And one that faults leaves it as it was.
    rig["mstatus"] = 1 << 13
    rig["a1"] = Rig.nowhere
    rig.run([Insn(op: op, rd: 3, rs1: Reg.a1, imm: 2040)])
    #expect(rig["mcause"] == 5)
    #expect(rig["mtval"] == Rig.nowhere + 2040)
    #expect(rig["mstatus"] >> 13 & 3 == 1)
  }

  private final class Once: InsnObserver {
    var seen: [UInt64] = []
    func willExecute(_ pc: UInt64, on hart: Hart) {
      seen.append(pc)
      hart.observe(nil)
    }
  }

  /// An observer may detach itself in the middle of a block.
  @Test func anObserverDetachesItself() throws {
    let rig = try Rig()
    rig.put(Rig.code, (1...6).map { .li(Reg.a0, $0) })
    let observer = Once()
    for _ in 0..<3 {
      observer.seen = []
      rig.hart.observe(observer)
      rig["pc"] = Rig.code
      rig.step(6)
      #expect(observer.seen == [Rig.code])
      #expect(rig["a0"] == 6)
      #expect(rig["pc"] == Rig.code + 24)
    }
  }

  /// The walker's own store to an entry is a store: code that lies there is not run as it was.
  @Test func accessedAndDirtyReachCode() throws {
    let rig = try Rig()
    // An entry for `va`, executed as an instruction first: its low half is `li a0, 0` with the
    // low ten bits of a page-table entry's flags without A and D.
    let va: UInt64 = 0x40_0000
    rig.enterPaging()
    let slot = rig.entry(va)
    rig.map(va, to: Rig.data, PTE.read | PTE.write)
    let before = rig.load(slot)
    rig.map(slot & ~4095, to: slot & ~4095, PTE.read | PTE.execute | PTE.accessed)
    rig["pc"] = slot
    let flags = rig.hart.x[Slot.translationFlags]
    rig.step()
    #expect(rig.hart.blocks.find(pa: slot, pc: slot, flags: flags) != nil)
    rig["a1"] = va
    rig.run([.store(0, Reg.a1)])
    #expect(rig.load(slot) == before | PTE.accessed | PTE.dirty)
    #expect(rig.hart.blocks.find(pa: slot, pc: slot, flags: flags) == nil)
  }

  /// What a guest can make the host remember has a bound.
  @Test(arguments: CacheModel.allCases)
  func translationsAreBounded(caches: CacheModel) throws {
    let rig = try Rig(caches)
    rig.enterPaging()
    // Many regions of one table.
    let base: UInt64 = 0x4000_0000
    rig.map(base, to: Rig.data, PTE.read | PTE.accessed)
    let table = rig.load(rig.entry(base, level: 1))
    let last = rig.load(rig.entry(base))
    for region in UInt64(0)..<16 { rig.ram.store(rig.entry(base + region << 21, level: 1), table) }
    let pages = (table >> 10) << 12
    for page in UInt64(0)..<512 { rig.ram.store(pages + page * 8, last) }
    for page in UInt64(0)..<8192 {
      #expect(rig.isa.walk(base + page << 12, .load, for: rig.hart) != nil)
    }
    #expect(rig.isa.tlb.count <= ArchitecturalTLB.limit)
    // Superpages, one to a region, are counted too.
    for region in UInt64(0)..<8192 {
      rig.isa.superpages.note(region << 21, 1)
    }
    #expect(rig.isa.superpages.count <= ArchitecturalTLB.limit)
    #expect(rig.isa.superpages.contains(8191 << 21))
  }

  /// - SeeAlso: RISC-V Supervisor Binary Interface Specification, 'Function: Hart start'.
  @Test func aHartStartsWithInterruptsOff() throws {
    let rig = try Rig()
    rig["mstatus"] = Status.sie | Status.sum | Status.mprv
    rig["mie"] = .max
    rig.isa.enterSupervisor(rig.hart, pc: Rig.code)
    #expect(rig["mstatus"] & (Status.sie | Status.sum | Status.mprv) == 0)
    #expect(rig["mie"] == 0)
    #expect(rig["satp"] == 0)
  }
}
