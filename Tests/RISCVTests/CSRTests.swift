import Testing

@testable import Engine
@testable import RISCV

/// - SeeAlso: RISC-V Privileged ISA Manual, 'Control and Status Registers (CSRs)', 'Machine-Level
///   CSRs', 'Supervisor CSRs'.
@Suite struct CSR {
  struct Row: Sendable {
    let name: String
    /// After reset.
    let reset: UInt64
    /// After a write of all ones, and after one of zero.
    let ones: UInt64
    let zeros: UInt64
  }

  private static let counters: UInt64 = 0xffff_ffff

  /// What software may write and what stays, by the manual's drawing of each register.
  static let rows: [Row] = {
    func row(_ name: String, _ reset: UInt64, _ ones: UInt64, _ zeros: UInt64) -> Row {
      Row(name: name, reset: reset, ones: ones, zeros: zeros)
    }
    // SIE MIE SPIE MPIE SPP MPP FS MPRV SUM MXR TVM TW TSR; SD follows FS; UXL and SXL are 64 bits.
    let status: UInt64 = 0x8000_000a_007e_79aa
    let supervisor: UInt64 = 0x8000_0002_000c_6122
    return [
      row("fflags", 0, 0x1f, 0), row("frm", 0, 7, 0), row("fcsr", 0, 0xff, 0),
      row("mstatus", 0xa_0000_6000 | 1 << 63, status, 0xa_0000_0000),
      row("sstatus", 0x2_0000_6000 | 1 << 63, supervisor, 0x2_0000_0000),
      row("misa", 0x8000_0000_0014_112d, 0x8000_0000_0014_112d, 0x8000_0000_0014_112d),
      row("medeleg", 0, 0xb3ff, 0), row("mideleg", 0, 0x222, 0), row("mie", 0, 0xaaa, 0),
      row("sie", 0, 0, 0), row("sip", 0, 0, 0), row("mip", 0, 0x222, 0),
      row("mcounteren", 0, counters, 0), row("scounteren", 0, counters, 0),
      row("menvcfg", 0, 1 << 63 | 1, 0), row("senvcfg", 0, 1, 0), row("mcountinhibit", 0, 5, 0),
      row("mscratch", 0, .max, 0), row("sscratch", 0, .max, 0),
      row("mepc", 0, .max - 1, 0), row("sepc", 0, .max - 1, 0),
      row("mcause", 0, .max, 0), row("scause", 0, .max, 0),
      row("mtval", 0, .max, 0), row("stval", 0, .max, 0),
      row("stimecmp", .max, .max, 0), row("satp", 0, 0, 0),
      row("pmpaddr0", 0x3f_ffff_ffff_ffff, 0x3f_ffff_ffff_ffff, 0),
      row("pmpaddr15", 0, 0x3f_ffff_ffff_ffff, 0), row("pmpaddr16", 0, 0, 0),
      row("pmpaddr63", 0, 0, 0), row("pmpcfg4", 0, 0, 0), row("pmpcfg14", 0, 0, 0),
      row("mhpmcounter3", 0, 0, 0), row("mhpmcounter31", 0, 0, 0), row("mhpmevent3", 0, 0, 0),
      row("mhpmevent31", 0, 0, 0), row("tselect", 0, 0, 0), row("tdata1", 0, 0, 0),
      row("mtvec", Rig.machineVector, Rig.machineVector, 0),
      row("stvec", Rig.supervisorVector, Rig.supervisorVector, 0),
    ]
  }()

  private static func number(_ name: String) throws -> Int64 {
    Int64(try #require(SystemRegisters.table.first { $0.name == name }, "\(name)").number)
  }

  @Test(arguments: rows)
  func writesKeepWhatTheRegisterHas(row: Row) throws {
    let rig = try Rig()
    let csr = try Self.number(row.name)
    rig.run([.read(Reg.a0, csr)])
    #expect(rig["a0"] == row.reset)
    rig["a1"] = .max
    rig.run([.write(csr, Reg.a1), .read(Reg.a0, csr)])
    #expect(rig["a0"] == row.ones, "all ones: \(hex(rig["a0"]))")
    rig.run([.write(csr, 0), .read(Reg.a0, csr)])
    #expect(rig["a0"] == row.zeros, "zero: \(hex(rig["a0"]))")
    // Bit by bit, the two functions that change some bits.
    for bit in UInt64(0)..<64 where row.name != "mstatus" && row.name != "satp" {
      rig["a1"] = 1 << bit
      rig.run([
        Insn(op: .csrrs, rs1: Reg.a1, imm: csr), .read(Reg.a0, csr),
        Insn(op: .csrrc, rs1: Reg.a1, imm: csr), .read(Reg.a2, csr),
      ])
      let settable = row.ones & ~row.zeros
      let vector = row.name.hasSuffix("tvec")
      if !vector {
        #expect(rig["a0"] & ~row.zeros & ~(1 << 63) == settable & (1 << bit) & ~(1 << 63))
      }
      #expect(rig["a2"] & ~(1 << 63) == row.zeros & ~(1 << 63), "\(row.name) bit \(bit)")
    }
  }

  @Test func trapVectorsHaveTwoModes() throws {
    let rig = try Rig()
    for name in ["mtvec", "stvec"] {
      for mode in UInt64(0)..<4 {
        rig[name] = 0x8000
        rig[name] = 0xffff_fff0 | mode
        #expect(rig[name] == (mode < 2 ? 0xffff_fff0 | mode : 0x8000))
      }
    }
  }

  @Test func thePreviousPrivilegeIsOneThatExists() throws {
    let rig = try Rig()
    for before in [UInt64(0), 1, 3] {
      for mpp in UInt64(0)..<4 {
        rig["mstatus"] = before << 11
        rig["mstatus"] = mpp << 11
        #expect(rig["mstatus"] >> 11 & 3 == (mpp == 2 ? before : mpp))
      }
    }
  }

  @Test func theSummaryBitFollowsTheFloatingPointState() throws {
    let rig = try Rig()
    for state in UInt64(0)..<4 {
      rig["mstatus"] = state << 13
      #expect(rig["mstatus"] >> 63 == (state == 3 ? 1 : 0))
      #expect(rig["sstatus"] >> 63 == (state == 3 ? 1 : 0))
      // It is read-only.
      rig["mstatus"] = state << 13 | 1 << 63
      #expect(rig["mstatus"] >> 63 == (state == 3 ? 1 : 0))
    }
  }

  /// What a supervisor sees of mstatus is the same register.
  @Test func supervisorStatusIsAViewOfMachineStatus() throws {
    let rig = try Rig()
    rig["mstatus"] = .max
    rig["sstatus"] = 0
    #expect(rig["mstatus"] == 0xa_0072_1888)
    rig["mstatus"] = 0
    rig["sstatus"] = .max
    #expect(rig["mstatus"] == 0x8000_000a_000c_6122)
  }

  @Test func supervisorInterruptRegistersAreViewsOfTheDelegatedBits() throws {
    let rig = try Rig()
    rig["mie"] = .max
    rig["mip"] = .max
    for mask in [UInt64(0), 2, 0x20, 0x200, 0x222] {
      rig["mideleg"] = mask
      #expect(rig["sie"] == mask)
      #expect(rig["sip"] == mask)
    }
    rig["mideleg"] = 0x222
    rig["sie"] = 0
    #expect(rig["mie"] == 0x888)
    // Only SSIP is the supervisor's to write.
    rig["sip"] = 0
    #expect(rig["mip"] == 0x220)
    rig["mideleg"] = 0x220
    rig["mip"] = 0
    rig["sip"] = .max
    #expect(rig["mip"] == 0)
  }

  /// The external line does not leak into the software bit by a read-modify-write.
  @Test func theExternalLineAndItsSoftwareBitAreTwo() throws {
    let rig = try Rig()
    rig.isa.setLine(Interrupt.sei, true, rig.hart)
    let mip = try Self.number("mip")
    rig["a1"] = 2
    rig.run([Insn(op: .csrrs, rd: Reg.a0, rs1: Reg.a1, imm: mip)])
    #expect(rig["a0"] == 0x200)
    rig.isa.setLine(Interrupt.sei, false, rig.hart)
    #expect(rig["mip"] == 2)
    rig["mip"] = 0x200
    #expect(rig["mip"] == 0x200)
  }

  @Test func theComparatorOwnsItsBit() throws {
    let rig = try Rig()
    rig["mip"] = 0x20
    #expect(rig["mip"] == 0x20)
    rig["mip"] = 0
    rig["menvcfg"] = 1 << 63
    rig["mip"] = .max
    #expect(rig["mip"] & 0x20 == 0)
    rig["stimecmp"] = 0
    #expect(rig["mip"] & 0x20 != 0)
    rig["stimecmp"] = .max
    #expect(rig["mip"] & 0x20 == 0)
  }

  // MARK: Who may

  /// Every register that exists, from every mode: bits 9:8 of the number are the least privilege,
  /// and two ones in 11:10 mean read-only.
  @Test func privilegeIsInTheNumber() throws {
    let rig = try Rig()
    rig["mcounteren"] = .max
    rig["scounteren"] = .max
    rig["menvcfg"] = 1 << 63
    for number in Int64(0)..<4096 {
      let row = SystemRegisters.find(UInt16(number))
      for privilege in [UInt64(0), 1, 3] {
        let allowed = row != nil && privilege >= UInt64(number >> 8 & 3)
        rig["priv"] = privilege
        rig["a0"] = 0x77
        rig.run([.read(Reg.a0, number)])
        let trapped = rig["pc"] == Rig.machineVector
        if trapped == allowed { Issue.record("reading \(hex(UInt64(number))) from \(privilege)") }
        if trapped {
          if rig["a0"] != 0x77 || rig["mcause"] != 2
            || rig["mtval"] != UInt64(Encoder.encode(.read(Reg.a0, number)) ?? 0)
          {
            Issue.record("the trap of \(hex(UInt64(number)))")
          }
        } else if privilege == 3, number >> 10 == 3 {
          // Set of nothing by a register that is not x0 is a write all the same.
          rig["a1"] = 0
          rig.run([Insn(op: .csrrs, rd: Reg.a0, rs1: Reg.a1, imm: number)])
          if rig["pc"] != Rig.machineVector { Issue.record("writing \(hex(UInt64(number)))") }
        }
        rig["priv"] = 3
      }
    }
  }

  @Test func rowsHaveTheNumbersOfTheManual() throws {
    let known: [(String, Int64)] = [
      ("fflags", 1), ("frm", 2), ("fcsr", 3), ("cycle", 0xc00), ("time", 0xc01),
      ("instret", 0xc02), ("hpmcounter31", 0xc1f), ("sstatus", 0x100), ("sie", 0x104),
      ("stvec", 0x105), ("scounteren", 0x106), ("senvcfg", 0x10a), ("sscratch", 0x140),
      ("sepc", 0x141), ("scause", 0x142), ("stval", 0x143), ("sip", 0x144), ("stimecmp", 0x14d),
      ("satp", 0x180), ("mvendorid", 0xf11), ("marchid", 0xf12), ("mimpid", 0xf13),
      ("mhartid", 0xf14), ("mconfigptr", 0xf15), ("mstatus", 0x300), ("misa", 0x301),
      ("medeleg", 0x302), ("mideleg", 0x303), ("mie", 0x304), ("mtvec", 0x305),
      ("mcounteren", 0x306), ("menvcfg", 0x30a), ("mcountinhibit", 0x320), ("mhpmevent3", 0x323),
      ("mscratch", 0x340), ("mepc", 0x341), ("mcause", 0x342), ("mtval", 0x343), ("mip", 0x344),
      ("pmpcfg0", 0x3a0), ("pmpcfg2", 0x3a2), ("pmpaddr0", 0x3b0), ("pmpaddr63", 0x3ef),
      ("mcycle", 0xb00), ("minstret", 0xb02), ("mhpmcounter31", 0xb1f),
    ]
    for (name, number) in known { #expect(try Self.number(name) == number) }
    // On RV64 the odd halves do not exist.
    for absent: UInt16 in [0x3a1, 0x3a3, 0xc80, 0xb80, 0x310, 0x31a, 0xc03 + 0x7f] {
      #expect(SystemRegisters.find(absent) == nil)
    }
  }

  @Test func countersNeedToBeEnabled() throws {
    for number in Int64(0xc00)...0xc1f {
      for privilege in [UInt64(0), 1, 3] {
        for (machine, supervisor) in [(false, false), (false, true), (true, false), (true, true)] {
          let rig = try Rig()
          let bit = UInt64(1) << UInt64(number & 31)
          rig["mcounteren"] = machine ? bit : ~bit
          rig["scounteren"] = supervisor ? bit : ~bit
          rig["priv"] = privilege
          rig.run([.read(Reg.a0, number)])
          let allowed = privilege == 3 || (machine && (privilege == 1 || supervisor))
          #expect((rig["pc"] != Rig.machineVector) == allowed)
        }
      }
    }
  }

  @Test func theSupervisorsTimerNeedsTwoBits() throws {
    for (enabled, counter) in [(false, false), (false, true), (true, false), (true, true)] {
      let rig = try Rig()
      rig["menvcfg"] = enabled ? 1 << 63 : 0
      rig["mcounteren"] = counter ? 2 : 0
      rig["priv"] = 1
      rig.run([.read(Reg.a0, 0x14d)])
      #expect((rig["pc"] != Rig.machineVector) == (enabled && counter))
      rig["priv"] = 3
      rig.run([.read(Reg.a0, 0x14d)])
      #expect(rig["pc"] != Rig.machineVector)
    }
  }

  @Test func virtualMemoryCanBeTrapped() throws {
    let rig = try Rig()
    rig["mstatus"] = Status.tvm
    for (privilege, traps) in [(UInt64(1), true), (3, false)] {
      rig["priv"] = privilege
      rig.run([.read(Reg.a0, 0x180)])
      #expect((rig["pc"] == Rig.machineVector) == traps)
      rig["priv"] = privilege
      rig.run([.write(0x180, 0)])
      #expect((rig["pc"] == Rig.machineVector) == traps)
    }
  }

  @Test func floatingPointRegistersNeedItOn() throws {
    for csr in Int64(1)...3 {
      for privilege in [UInt64(0), 1, 3] {
        for state in UInt64(0)..<4 {
          let rig = try Rig()
          rig["mstatus"] = state << 13
          rig["priv"] = privilege
          rig.run([.read(Reg.a0, csr)])
          #expect((rig["pc"] == Rig.machineVector) == (state == 0))
          // Reading changes nothing, writing makes it dirty.
          if state > 0 {
            #expect(rig["mstatus"] >> 13 & 3 == state)
            rig.run([Insn(op: .csrrwi, rs1: 1, imm: csr)])
            #expect(rig["mstatus"] >> 13 & 3 == 3)
          }
        }
      }
    }
  }

  // MARK: Counting

  @Test(arguments: CacheModel.allCases)
  func aCounterReadsTheInstructionsBeforeIt(caches: CacheModel) throws {
    let rig = try Rig(caches)
    rig.run([
      .read(Reg.a0, 0xb02), .nop, .nop, .read(Reg.a1, 0xc02), .read(Reg.a2, 0xb02),
      .read(Reg.a3, 0xb00), .read(Reg.a4, 0xc01),
    ])
    #expect(rig["a0"] == 0)
    #expect(rig["a1"] == 3)
    #expect(rig["a2"] == 4)
    #expect(rig["a3"] == 5)
    #expect(rig["a4"] == 6)
  }

  @Test func aWrittenCounterGoesOnFromThere() throws {
    let rig = try Rig()
    rig["a1"] = 1000
    for csr in [Int64(0xb00), 0xb02] {
      rig.run([.nop, .write(csr, Reg.a1), .read(Reg.a0, csr), .nop, .read(Reg.a2, csr)])
      #expect(rig["a0"] == 1000)
      #expect(rig["a2"] == 1002)
    }
    rig["a1"] = .max
    rig.run([.write(0xb02, Reg.a1), .nop, .read(Reg.a0, 0xb02)])
    #expect(rig["a0"] == 0)
  }

  @Test func aCounterCanBeStopped() throws {
    let rig = try Rig()
    for (csr, bit) in [(Int64(0xb00), UInt64(1)), (0xb02, 4)] {
      rig["mcountinhibit"] = 0
      rig["a1"] = bit
      rig["a5"] = 50
      rig.run([
        .write(csr, Reg.a5), .write(0x320, Reg.a1), .read(Reg.a0, csr), .nop, .nop,
        .read(Reg.a2, csr), .write(0x320, 0), .read(Reg.a3, csr), .read(Reg.a4, csr),
      ])
      // The instruction that stops it may or may not be counted.
      #expect(rig["a0"] == 50 || rig["a0"] == 51)
      #expect(rig["a2"] == rig["a0"])
      #expect(rig["a3"] == rig["a0"] || rig["a3"] == rig["a0"] + 1)
      #expect(rig["a4"] == rig["a3"] + 1)
      // Written while stopped, it keeps just that.
      rig.run([.write(0x320, Reg.a1), .write(csr, Reg.a5), .nop, .read(Reg.a0, csr)])
      #expect(rig["a0"] == 50)
    }
  }

  /// What traps is not retired: ecall, ebreak, faults; xret is.
  @Test(arguments: CacheModel.allCases)
  func exceptionsAreNotRetired(caches: CacheModel) throws {
    let causes: [Insn] = [
      Insn(op: .ecall), Insn(op: .ebreak), .load(Reg.a5, Reg.a4),
      .store(Reg.a5, Reg.a4), Insn(op: .csrrw, imm: 0x123), Insn(op: .lr_w, rd: 5, rs1: Reg.a3),
    ]
    for cause in causes {
      let rig = try Rig(caches)
      rig["a4"] = Rig.nowhere
      rig["a3"] = 1
      rig.put(
        Rig.machineVector,
        [
          .read(Reg.a1, 0xb02), .read(Reg.a2, 0x341),
          Insn(op: .addi, rd: Reg.a2, rs1: Reg.a2, imm: 4),
          .write(0x341, Reg.a2), Insn(op: .mret),
        ])
      rig.run([.nop, .read(Reg.a0, 0xb02), .nop, cause])
      rig.step(5)
      #expect(rig["pc"] == Rig.code + 16)
      #expect(rig["a0"] == 1)
      #expect(rig["a1"] == 3)
      rig.put(Rig.code + 16, [.read(Reg.a0, 0xb02), .read(Reg.a1, 0xb00)])
      rig.hart.synchronizeInstructionFetch()
      rig.step(2)
      #expect(rig["a0"] == 8)
      // A cycle passes for an instruction that traps, too.
      #expect(rig["a1"] == 10)
      #expect(rig.hart.count == 11)
      #expect(rig.hart.x[Slot.exceptions] == 1)
    }
  }
}
