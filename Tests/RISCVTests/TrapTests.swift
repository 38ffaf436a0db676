import Testing

@testable import Engine
@testable import RISCV

/// - SeeAlso: RISC-V Privileged ISA Manual, 'Machine Trap Delegation (medeleg and mideleg)
///   Registers', 'Machine Trap-Vector Base-Address (mtvec) Register', 'Machine Interrupt (mip and
///   mie) Registers', 'Trap-Return Instructions', 'Privilege and Global Interrupt-Enable Stack in
///   mstatus register'.
@Suite struct Trap {
  // MARK: Exceptions

  /// ecall from each mode, delegated and not: who takes it, and what is left in the stacks.
  @Test func delegationIsByCauseAndMode() throws {
    for privilege in [UInt64(0), 1, 3] {
      for delegated in [false, true] {
        for enabled in [false, true] {
          let rig = try Rig()
          rig["medeleg"] = delegated ? .max : 0
          rig["mstatus"] =
            enabled ? Status.sie | Status.mie : Status.mpie | Status.spie | Status.spp
          rig["priv"] = privilege
          rig.run([Insn(op: .ecall)])
          let supervisor = delegated && privilege < 3
          #expect(rig["priv"] == (supervisor ? 1 : 3))
          #expect(rig["pc"] == (supervisor ? Rig.supervisorVector : Rig.machineVector))
          #expect(rig[supervisor ? "scause" : "mcause"] == 8 + privilege)
          #expect(rig[supervisor ? "sepc" : "mepc"] == Rig.code)
          #expect(rig[supervisor ? "stval" : "mtval"] == 0)
          #expect(rig[supervisor ? "mcause" : "scause"] == 0)
          let status = rig["mstatus"]
          if supervisor {
            #expect(status & Status.sie == 0)
            #expect((status & Status.spie != 0) == enabled)
            #expect((status & Status.spp != 0) == (privilege == 1))
            #expect((status & Status.mie != 0) == enabled)
          } else {
            #expect(status & Status.mie == 0)
            #expect((status & Status.mpie != 0) == enabled)
            #expect(status >> 11 & 3 == privilege)
            #expect((status & Status.sie != 0) == enabled)
          }
        }
      }
    }
  }

  @Test func eachCauseIsDelegatedByItsOwnBit() throws {
    for bit in UInt64(0)..<16 where 0xb3ff >> bit & 1 == 1 {
      let rig = try Rig()
      rig["medeleg"] = 1 << bit
      rig["priv"] = 0
      rig.run([Insn(op: .ebreak)])
      #expect((rig["priv"] == 1) == (bit == 3))
    }
  }

  @Test func exceptionsGoToTheBaseEvenWhenVectored() throws {
    let rig = try Rig()
    rig["mtvec"] = Rig.machineVector | 1
    rig.run([Insn(op: .ebreak)])
    #expect(rig["pc"] == Rig.machineVector)
    #expect(rig["mtval"] == Rig.code)
  }

  /// In the middle of a block: everything before has happened, nothing behind has.
  @Test(arguments: CacheModel.allCases, [0, 1, 7, 30])
  func faultsArePrecise(caches: CacheModel, before: Int) throws {
    let rig = try Rig(caches)
    var insns: [Insn] = []
    for _ in 0..<before { insns.append(Insn(op: .addi, rd: Reg.a0, rs1: Reg.a0, imm: 1)) }
    insns.append(.load(Reg.a2, Reg.a1))
    for _ in 0..<5 { insns.append(Insn(op: .addi, rd: Reg.a0, rs1: Reg.a0, imm: 100)) }
    rig["a0"] = 0
    rig["a1"] = Rig.nowhere
    rig.put(Rig.code, insns)
    rig["pc"] = Rig.code
    rig.step(before + 1)
    #expect(rig["a0"] == UInt64(before))
    #expect(rig["pc"] == Rig.machineVector)
    #expect(rig["mepc"] == Rig.code + UInt64(before) * 4)
    #expect(rig["mtval"] == Rig.nowhere)
    #expect(rig.hart.count == UInt64(before) + 1)
    // The same in one go, with what is in the vector behind.
    rig["pc"] = Rig.code
    rig["a0"] = 0
    rig.step(before + 4)
    #expect(rig["pc"] == Rig.machineVector + 12)
    #expect(rig["a0"] == UInt64(before))
  }

  /// Pairs that the interpreter joins, where either half faults.
  @Test(arguments: CacheModel.allCases)
  func faultsOfJoinedInstructionsArePrecise(caches: CacheModel) throws {
    let memory: [RISCV.Op] = [.ld, .lw, .lbu, .sd, .sw, .sb, .fld, .fsd]
    func access(_ op: RISCV.Op, _ register: UInt8, _ base: UInt8, _ offset: Int64) -> Insn {
      [.sd, .sw, .sb, .fsd].contains(op)
        ? .store(register, base, offset, op: op) : .load(register, base, offset, op: op)
    }
    // The last 8 bytes of RAM; what lies behind is nowhere.
    let edge = Rig.size - 8
    for first in memory {
      for second in memory {
        for (good, offset) in [(true, Int64(0)), (false, 8)] {
          let rig = try Rig(caches)
          rig["a1"] = edge
          for number in ["a2", "a3"] { rig[number] = 0x55 }
          // Touched before, so that both halves would take their fast path.
          rig.run([.load(Reg.a4, Reg.a1), .store(Reg.a4, Reg.a1)])
          rig.poke(edge, 0x1111)
          let count = rig.hart.count
          rig.put(
            Rig.code,
            [
              access(first, Reg.a2, Reg.a1, good ? 0 : offset), access(second, Reg.a3, Reg.a1, 8),
              .nop, .nop,
            ])
          rig.hart.synchronizeInstructionFetch()
          rig["pc"] = Rig.code
          rig.step(4)
          #expect(rig["mepc"] == (good ? Rig.code + 4 : Rig.code), "\(first), \(second)")
          #expect(rig["pc"] == Rig.machineVector + (good ? 8 : 12))
          #expect(rig.hart.count == count + 4)
          #expect(rig["a3"] == 0x55)
          if first == .ld { #expect(rig["a2"] == (good ? 0x1111 : 0x55)) }
          if first == .sd { #expect(rig.load(edge) == (good ? 0x55 : 0x1111)) }
        }
      }
    }
  }

  @Test(arguments: CacheModel.allCases)
  func anAddressMadeByTheInstructionBefore(caches: CacheModel) throws {
    for op in [RISCV.Op.ld, .lw, .lbu] {
      let rig = try Rig(caches)
      rig["a1"] = Rig.nowhere
      rig["a2"] = 0x10
      rig["a3"] = 7
      rig.run([
        Insn(op: .add, rd: Reg.a4, rs1: Reg.a1, rs2: Reg.a2), .load(Reg.a3, Reg.a4, op: op),
      ])
      #expect(rig["a4"] == Rig.nowhere + 0x10)
      #expect(rig["a3"] == 7)
      #expect(rig["mepc"] == Rig.code + 4)
      #expect(rig["mtval"] == Rig.nowhere + 0x10)
    }
  }

  /// A jump to where nothing can be fetched retires; the fetch is an instruction that does not.
  @Test func theFetchFaultsAtTheTarget() throws {
    for insn in [Insn(op: .jalr, rd: Reg.ra, rs1: Reg.a1), Insn(op: .jalr, rs1: Reg.a1)] {
      let rig = try Rig()
      rig["a1"] = Rig.nowhere
      rig.run([insn])
      #expect(rig["pc"] == Rig.nowhere)
      rig.step(1)
      #expect(rig["mepc"] == Rig.nowhere)
      #expect(rig["mcause"] == 1)
      #expect(rig["mtval"] == Rig.nowhere)
      #expect(rig.hart.count == 2)
      if insn.rd != 0 { #expect(rig["ra"] == Rig.code + 4) }
    }
  }

  @Test func theEndOfMemoryIsAFetchFault() throws {
    let rig = try Rig()
    rig.put(Rig.size - 4, [.li(Reg.a0, 5)])
    rig["pc"] = Rig.size - 4
    rig.step(2)
    #expect(rig["a0"] == 5)
    #expect(rig["mepc"] == Rig.size)
    #expect(rig["mcause"] == 1)
    // Half of an instruction is in memory.
    rig.ram.store(Rig.size - 2, UInt16(0x0013))
    rig["pc"] = Rig.size - 2
    rig.step(1)
    #expect(rig["mepc"] == Rig.size - 2)
    #expect(rig["mcause"] == 1)
    #expect(rig["mtval"] == Rig.size)
  }

  // MARK: Returns

  @Test func returnsUnwindWhatTrapsStack() throws {
    for previous in [UInt64(0), 1, 3] {
      let rig = try Rig()
      rig["mstatus"] = previous << 11 | Status.mpie
      rig["mepc"] = Rig.code
      rig.run([Insn(op: .mret)], at: 0x3000)
      #expect(rig["priv"] == previous)
      #expect(rig["pc"] == Rig.code)
      #expect(rig["mstatus"] & Status.mie != 0)
      #expect(rig["mstatus"] & Status.mpie != 0)
      #expect(rig["mstatus"] >> 11 & 3 == 0)
    }
  }

  // MARK: Interrupts

  /// Bits by number, from the most urgent to the least.
  private static let order: [UInt64] = [11, 3, 7, 9, 1, 5]

  @Test func theMostUrgentComesFirst() throws {
    for set in UInt64(1)..<64 {
      let rig = try Rig()
      let numbers = Self.order.enumerated().filter { set >> UInt64($0.offset) & 1 == 1 }
      let bits = numbers.reduce(UInt64(0)) { $0 | 1 << $1.element }
      rig["mie"] = .max
      rig.isa.setLine(bits, true, rig.hart)
      rig["mstatus"] = Status.mie
      rig.run([.nop])
      #expect(rig["mcause"] == 1 << 63 | numbers[0].element)
      #expect(rig["mepc"] == Rig.code)
      #expect(rig["mtval"] == 0)
    }
  }

  /// Not delegated ones go before delegated ones, whatever their order.
  @Test func machineInterruptsGoBeforeSupervisorOnes() throws {
    let rig = try Rig()
    rig["mideleg"] = 0x200
    rig["mie"] = .max
    rig["mstatus"] = Status.sie
    rig["priv"] = 1
    rig.isa.setLine(1 << 9 | 1 << 5, true, rig.hart)
    rig.run([.nop])
    #expect(rig["mcause"] == UInt64(1) << 63 | 5)
    #expect(rig["scause"] == 0)
  }

  @Test func enablesDependOnTheMode() throws {
    for number in Self.order {
      for delegated in [false, true] where !delegated || Interrupt.supervisor >> number & 1 == 1 {
        for privilege in [UInt64(0), 1, 3] {
          for (mie, sie) in [(false, false), (false, true), (true, false), (true, true)] {
            for enabled in [false, true] {
              let rig = try Rig()
              rig["mideleg"] = delegated ? 1 << number : 0
              rig["mie"] = enabled ? 1 << number : ~(1 << number)
              rig["mstatus"] = (mie ? Status.mie : 0) | (sie ? Status.sie : 0)
              rig["priv"] = privilege
              rig.isa.setLine(1 << number, true, rig.hart)
              rig.run([.nop])
              let taken =
                enabled
                && (delegated
                  ? privilege == 0 || (privilege == 1 && sie) : privilege < 3 || mie)
              let vector = delegated ? Rig.supervisorVector : Rig.machineVector
              #expect(
                (rig["pc"] == vector + 4) == taken,
                "\(number) delegated \(delegated) from \(privilege) mie \(mie) sie \(sie)")
              if !taken { #expect(rig["pc"] == Rig.code + 4) }
            }
          }
        }
      }
    }
  }

  @Test func vectoredInterruptsGoToTheirSlots() throws {
    for number in Self.order {
      let rig = try Rig()
      rig["mtvec"] = Rig.machineVector | 1
      rig["mie"] = .max
      rig["mstatus"] = Status.mie
      rig.isa.setLine(1 << number, true, rig.hart)
      rig.run([.nop])
      #expect(rig["pc"] == Rig.machineVector + 4 * number + 4)
    }
    let rig = try Rig()
    rig["stvec"] = Rig.supervisorVector | 1
    rig["mideleg"] = 0x222
    rig["mie"] = .max
    rig["priv"] = 0
    rig.isa.setLine(1 << 9, true, rig.hart)
    rig.run([.nop])
    #expect(rig["pc"] == Rig.supervisorVector + 4 * 9 + 4)
    #expect(rig["scause"] == UInt64(1) << 63 | 9)
  }

  /// Whatever makes an interrupt deliverable: it is taken before the next instruction.
  @Test func interruptsAreTakenAtOnce() throws {
    let mie: Int64 = 0x304, mstatus: Int64 = 0x300
    let makers: [(String, (Rig) -> Void, Insn)] = [
      ("mie", { $0["mstatus"] = Status.mie }, .write(mie, Reg.a1)),
      ("mstatus", { $0["mie"] = .max }, .write(mstatus, Reg.a1)),
      (
        "mret",
        {
          $0["mie"] = .max
          $0["mstatus"] = Status.mpie | Status.mpp
          $0["mepc"] = Rig.code + 4
        }, Insn(op: .mret)
      ),
    ]
    for (name, prepare, insn) in makers {
      let rig = try Rig()
      rig.isa.setLine(1 << 7, true, rig.hart)
      prepare(rig)
      rig["a1"] = .max & ~Status.mprv
      rig["a0"] = 0
      rig.put(Rig.code, [insn, .li(Reg.a0, 1), .nop])
      rig["pc"] = Rig.code
      rig.step(2)
      #expect(rig["a0"] == 0, "\(name)")
      #expect(rig["mepc"] == Rig.code + 4, "\(name)")
      #expect(rig["pc"] == Rig.machineVector + 4, "\(name)")
    }
  }

  @Test func aDeviceInterruptsTheInstructionBehindItsStore() throws {
    let rig = try Rig()
    let device = RecordingDevice()
    rig.bus.attach(device, base: Rig.device, size: 0x1000)
    device.onWrite = { rig.isa.setLine(1 << 11, true, rig.hart) }
    rig["mie"] = .max
    rig["mstatus"] = Status.mie
    rig["a1"] = Rig.device
    rig["a0"] = 0
    rig.run([.nop, .store(Reg.a0, Reg.a1), .li(Reg.a0, 1), .nop])
    #expect(rig["a0"] == 0)
    #expect(rig["mepc"] == Rig.code + 8)
    device.onWrite = nil
  }

  @Test func waitingEndsWithAnyEnabledInterrupt() throws {
    let rig = try Rig()
    rig["mie"] = 1 << 7
    #expect(rig.run([Insn(op: .wfi)]) == .waiting)
    #expect(rig["pc"] == Rig.code + 4)
    rig.isa.setLine(1 << 3, true, rig.hart)
    #expect(rig.run([Insn(op: .wfi)]) == .waiting)
    // Enabled in mie, though not in mstatus: it goes on behind the wfi.
    rig.isa.setLine(1 << 7, true, rig.hart)
    #expect(rig.run([Insn(op: .wfi), .nop]) == .budget)
    #expect(rig["pc"] == Rig.code + 8)
    // Enabled altogether: mepc is behind the wfi.
    rig["mstatus"] = 0
    rig.run([Insn(op: .wfi), .nop])
    rig["mstatus"] = Status.mie
    rig["mie"] = 0
    rig["a1"] = 1 << 7
    rig.run([.write(0x304, Reg.a1), .nop])
    #expect(rig["mepc"] == Rig.code + 4)
  }

  @Test func theComparatorFires() throws {
    let rig = try Rig()
    rig["menvcfg"] = 1 << 63
    rig["mcounteren"] = 2
    rig["mideleg"] = 0x20
    rig["mie"] = 0x20
    rig["priv"] = 1
    rig["stimecmp"] = rig.hart.count + 100
    #expect(rig.isa.timerDeadline(rig.hart) == rig.hart.count + 100)
    #expect(rig["mip"] == 0)
    rig["stimecmp"] = rig.hart.count
    #expect(rig["sip"] == 0x20)
    #expect(rig.isa.timerDeadline(rig.hart) == nil)
  }

  // MARK: Devices

  @Test func devicesSeeSizesAndOffsets() throws {
    let rig = try Rig()
    let device = RecordingDevice()
    rig.bus.attach(device, base: Rig.device, size: 0x100)
    rig["a1"] = Rig.device
    rig["a2"] = 0x8877_6655_4433_2211
    rig.run([
      .load(Reg.a0, Reg.a1, 0, op: .lb), .load(Reg.a0, Reg.a1, 2, op: .lhu),
      .load(Reg.a0, Reg.a1, 4, op: .lw), .load(Reg.a3, Reg.a1, 8, op: .ld),
      .store(Reg.a2, Reg.a1, 1, op: .sb), .store(Reg.a2, Reg.a1, 2, op: .sh),
      .store(Reg.a2, Reg.a1, 4, op: .sw), .store(Reg.a2, Reg.a1, 8, op: .sd),
    ])
    #expect(
      device.log == [
        "r1@0", "r2@2", "r4@4", "r8@8", "w1@1=0x11", "w2@2=0x2211", "w4@4=0x44332211",
        "w8@8=0x8877665544332211",
      ]
        || device.log == [
          "r1@0", "r2@2", "r4@4", "r8@8", "w1@1=\(hex(rig["a2"]))", "w2@2=\(hex(rig["a2"]))",
          "w4@4=\(hex(rig["a2"]))", "w8@8=\(hex(rig["a2"]))",
        ])
    // What it answers is cut and extended here.
    #expect(rig["a0"] == 0x5566_7788)
    #expect(rig["a3"] == 0x1122_3344_5566_7788)
    device.value = 0xff80
    rig.run([.load(Reg.a0, Reg.a1, 0, op: .lb), .load(Reg.a2, Reg.a1, 0, op: .lbu)])
    #expect(rig["a0"] == UInt64(bitPattern: -128))
    #expect(rig["a2"] == 0x80)
    #expect(rig.hart.deviceAccesses == 10)
  }

  @Test func devicesRefuseWhatIsNoPlainAccess() throws {
    let rig = try Rig()
    let device = RecordingDevice()
    rig.bus.attach(device, base: Rig.device, size: 0x1000)
    let cases: [(Insn, UInt64, UInt64)] = [
      (.load(Reg.a0, Reg.a1, op: .lw), 2, 5), (.store(Reg.a0, Reg.a1, op: .sw), 1, 7),
      (Insn(op: .lr_w, rd: Reg.a0, rs1: Reg.a1), 0, 5),
      (Insn(op: .sc_w, rd: Reg.a0, rs1: Reg.a1), 0, 7),
      (Insn(op: .amoadd_w, rd: Reg.a0, rs1: Reg.a1), 0, 7),
      // Beyond its end, and across it.
      (.load(Reg.a0, Reg.a1, op: .lb), 0x1000, 5), (.store(Reg.a0, Reg.a1), 0xffc, 7),
    ]
    for (insn, offset, cause) in cases {
      rig["a1"] = Rig.device + offset
      rig["pc"] = 0
      rig.run([insn])
      #expect(rig["pc"] == Rig.machineVector, "\(insn.op)")
      #expect(rig["mcause"] == cause, "\(insn.op)")
      #expect(device.log.isEmpty)
    }
    rig["a1"] = Rig.device
    rig.run([Insn(op: .jalr, rs1: Reg.a1), .nop])
    #expect(rig["mcause"] == 1)
  }
}

/// - SeeAlso: RISC-V Unprivileged ISA Manual, 'Load-Reserved/Store-Conditional Instructions',
///   'Eventual Success of Store-Conditional Instructions'.
@Suite struct Reservations {
  private func rig(_ caches: CacheModel = .coherent, harts: Int = 1) throws -> Rig {
    let rig = try Rig(caches, harts: harts)
    for hart in rig.harts {
      hart.x[Int(Reg.a1)] = Rig.data
      hart.x[Int(Reg.a2)] = 7
    }
    return rig
  }

  private static let lr = Insn(op: .lr_d, rd: Reg.a0, rs1: Reg.a1)
  private static let sc = Insn(op: .sc_d, rd: Reg.a0, rs1: Reg.a1, rs2: Reg.a2)

  @Test func aReservationIsUsedOnce() throws {
    let rig = try rig()
    rig.poke(Rig.data, 5)
    rig.run([Self.lr, Self.sc])
    #expect(rig["a0"] == 0)
    #expect(rig.load(Rig.data) == 7)
    rig["a2"] = 9
    rig.run([Self.sc])
    #expect(rig["a0"] == 1)
    #expect(rig.load(Rig.data) == 7)
  }

  @Test func anotherAddressFailsAndLosesTheReservation() throws {
    let rig = try rig()
    rig["a3"] = Rig.data + 8
    rig.run([Self.lr, Insn(op: .sc_d, rd: Reg.a0, rs1: Reg.a3, rs2: Reg.a2)])
    #expect(rig["a0"] == 1)
    #expect(rig.load(Rig.data + 8) == 0)
    rig.run([Self.sc])
    #expect(rig["a0"] == 1)
  }

  @Test func theHartsOwnStoreKeepsIt() throws {
    let rig = try rig()
    rig.run([Self.lr, .store(Reg.a2, Reg.a1, 8), .store(Reg.a1, Reg.a1), Self.sc])
    #expect(rig["a0"] == 0)
    #expect(rig.load(Rig.data) == 7)
  }

  @Test func aTrapClearsIt() throws {
    for insn in [Insn(op: .ecall), Insn(op: .ebreak)] {
      let rig = try rig()
      rig.run([Self.lr, insn])
      rig.run([Self.sc])
      #expect(rig["a0"] == 1)
    }
    let rig = try rig()
    rig["mie"] = .max
    rig["mstatus"] = Status.mie
    rig.run([Self.lr])
    rig.isa.setLine(1 << 7, true, rig.hart)
    rig.step(1)
    rig.run([Self.sc])
    #expect(rig["a0"] == 1)
  }

  /// A slice that ends is no event of the guest.
  @Test func theEndOfASliceKeepsIt() throws {
    let rig = try rig(harts: 2)
    rig.run([Self.lr])
    rig.hart.leave()
    rig.run([.nop], on: 1, at: 0x3000)
    rig.run([Self.sc])
    #expect(rig["a0"] == 0)
  }

  @Test(arguments: CacheModel.allCases)
  func anotherHartsStoreClearsIt(caches: CacheModel) throws {
    let stores: [(Insn, UInt64, Bool)] = [
      (.store(Reg.a2, Reg.a1), 0, true), (.store(Reg.a2, Reg.a1, op: .sb), 7, true),
      (Insn(op: .amoadd_d, rd: 0, rs1: Reg.a1, rs2: Reg.a2), 0, true),
      (Insn(op: .fsd, rs1: Reg.a1, rs2: 3), 0, true),
      (.load(Reg.a0, Reg.a1), 0, false), (.store(Reg.a2, Reg.a1), 0x800, false),
      (.store(Reg.a2, Reg.a1), 0x1000, false), (Self.sc, 0, false),
    ]
    for (insn, offset, clears) in stores {
      let rig = try rig(caches, harts: 2)
      // The other hart knows the page as writable beforehand.
      rig.run([.store(Reg.a2, Reg.a1, 0x700)], on: 1, at: 0x3000)
      rig.run([Self.lr])
      rig.hart.leave()
      rig.harts[1].x[Int(Reg.a1)] = Rig.data + offset
      rig.run([insn], on: 1, at: 0x3000)
      rig.harts[1].leave()
      rig.run([Self.sc])
      #expect(rig["a0"] == (clears ? 1 : 0), "\(insn.op) at \(offset)")
    }
  }

  /// Devices' and the host's writes count as somebody else's.
  @Test func aWriteFromOutsideClearsIt() throws {
    let rig = try rig(harts: 2)
    rig.run([Self.lr])
    rig.hart.leave()
    rig.ram.store(Rig.data, UInt64(1))
    rig.run([Self.sc])
    #expect(rig["a0"] == 1)
  }

  @Test func aLockIsTakenByOne() throws {
    let rig = try rig(harts: 2)
    // Both reserve; the first to store wins.
    rig.run([Self.lr])
    rig.hart.leave()
    rig.run([Self.lr], on: 1, at: 0x3000)
    rig.harts[1].leave()
    rig.run([Self.sc])
    rig.hart.leave()
    rig.run([Self.sc], on: 1, at: 0x3000)
    #expect(rig["a0"] == 0)
    #expect(rig.harts[1].x[Int(Reg.a0)] == 1)
  }

  @Test func aFaultingStoreConditionalFaultsWithoutAReservationToo() throws {
    let rig = try rig()
    rig["a1"] = Rig.nowhere
    rig.run([Self.sc])
    #expect(rig["mcause"] == 7)
  }
}
