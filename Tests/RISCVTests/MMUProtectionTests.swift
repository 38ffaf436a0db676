import Testing

@testable import Engine
@testable import RISCV

/// - SeeAlso: RISC-V Privileged ISA Manual, 'Physical Memory Protection'.
extension MMU {
  @Suite struct Protection {
    private static let r: UInt64 = 1, w: UInt64 = 2, x: UInt64 = 4
    private static let tor: UInt64 = 1 << 3, na4: UInt64 = 2 << 3, napot: UInt64 = 3 << 3
    private static let locked: UInt64 = 0x80

    /// A rig in supervisor mode whose last entry grants everything, so that earlier ones can deny.
    private func rig(
      _ entries: [(configuration: UInt64, address: UInt64)], priv: UInt64 = 1,
      grants: Bool = true
    ) throws -> Rig {
      let rig = try Rig()
      rig["medeleg"] = 0
      rig["pmpcfg0"] = 0
      var configuration: UInt64 = 0
      for (index, entry) in entries.enumerated() {
        rig["pmpaddr\(index)"] = entry.address
        configuration |= entry.configuration << UInt64(index * 8)
      }
      if grants {
        rig["pmpaddr15"] = .max
        rig["pmpcfg2"] = (Self.napot | 7) << 56
      }
      rig["pmpcfg0"] = configuration
      rig["priv"] = priv
      return rig
    }

    private func outcome(_ rig: Rig, _ insn: Insn, _ address: UInt64, count: Int = 1) -> String {
      let privilege = rig["priv"]
      rig["a1"] = address
      rig.run([insn] + [Insn](repeating: .nop, count: count - 1))
      let trapped = rig["pc"] == Rig.machineVector || rig["pc"] == Rig.machineVector + 4
      let text = trapped ? "\(rig["mcause"]) \(hex(rig["mtval"]))" : "ok"
      rig["priv"] = privilege
      return text
    }

    private func load(_ rig: Rig, _ address: UInt64, _ op: RISCV.Op = .lb) -> String {
      outcome(rig, .load(Reg.a0, Reg.a1, op: op), address)
    }

    private func store(_ rig: Rig, _ address: UInt64, _ op: RISCV.Op = .sb) -> String {
      outcome(rig, .store(Reg.a0, Reg.a1, op: op), address)
    }

    @Test func withoutAMatchOnlyMachineModeMayAccess() throws {
      let supervisor = try rig([], grants: false)
      supervisor["pc"] = Rig.code
      supervisor.step()
      #expect(supervisor["mcause"] == 1)
      #expect(supervisor["mtval"] == Rig.code)
      #expect(load(try rig([], priv: 3, grants: false), Rig.data) == "ok")
    }

    @Test func rightsAreThoseOfTheEntry() throws {
      for rights in UInt64(0)..<8 where rights & 3 != 2 {
        let rig = try rig([(Self.napot | rights, (Rig.data | 0x7ff) >> 2)])
        #expect((load(rig, Rig.data) == "ok") == (rights & 1 != 0))
        #expect((store(rig, Rig.data) == "ok") == (rights & 2 != 0))
        rig.put(Rig.data, [.nop])
        let jump = outcome(rig, Insn(op: .jalr, rs1: Reg.a1), Rig.data, count: 2)
        #expect(jump == (rights & 4 != 0 ? "ok" : "1 \(hex(Rig.data))"))
        // Beyond the 4 KiB of the entry the last one counts.
        #expect(load(rig, Rig.data + 0x1000) == "ok")
        if rights & 1 == 0 {
          #expect(load(rig, Rig.data) == "5 \(hex(Rig.data))")
          #expect(store(rig, Rig.data + 0xfff) == "7 \(hex(Rig.data + 0xfff))")
        }
      }
    }

    @Test func theFirstMatchingEntryDecides() throws {
      let address = (Rig.data | 0x7ff) >> 2
      #expect(load(try rig([(Self.napot, address), (Self.napot | 1, address)]), Rig.data) != "ok")
      #expect(load(try rig([(Self.napot | 1, address), (Self.napot, address)]), Rig.data) == "ok")
    }

    /// Smaller than a page: what lies beside the region has other rights.
    @Test func fourBytes() throws {
      let rig = try rig([(Self.na4, (Rig.data + 0x10) >> 2)])
      #expect(load(rig, Rig.data + 0xf) == "ok")
      for at in UInt64(0x10)..<0x14 {
        #expect(load(rig, Rig.data + at) == "5 \(hex(Rig.data + at))")
      }
      #expect(load(rig, Rig.data + 0x14) == "ok")
      // Repeated, since a page with mixed rights must not be remembered as a whole.
      #expect(load(rig, Rig.data + 0x10) != "ok")
      #expect(store(rig, Rig.data + 0x14) == "ok")
      #expect(store(rig, Rig.data + 0x13) != "ok")
    }

    @Test func powersOfTwo() throws {
      let rig = try rig([(Self.napot, (Rig.data + 0x40) >> 2 | 3)])  // 32 bytes
      #expect(load(rig, Rig.data + 0x3f) == "ok")
      #expect(load(rig, Rig.data + 0x40) != "ok")
      #expect(load(rig, Rig.data + 0x5f) != "ok")
      #expect(load(rig, Rig.data + 0x60) == "ok")
    }

    @Test func topOfRange() throws {
      let rig = try rig([
        (0, (Rig.data + 8) >> 2), (Self.tor, (Rig.data + 0x2000) >> 2),
      ])
      #expect(load(rig, Rig.data + 7) == "ok")
      #expect(load(rig, Rig.data + 8) != "ok")
      #expect(load(rig, Rig.data + 0x1800) != "ok")
      #expect(load(rig, Rig.data + 0x1fff) != "ok")
      #expect(load(rig, Rig.data + 0x2000) == "ok")
      // Entry 0 begins at 0; a range that ends before it begins is empty.
      let first = try self.rig([(Self.tor, 0x1000 >> 2)])
      #expect(load(first, 0xfff) != "ok")
      #expect(load(first, 0x1000) == "ok")
      let empty = try self.rig([(0, 0x3000 >> 2), (Self.tor, 0x2000 >> 2)])
      #expect(load(empty, 0x2800) == "ok")
    }

    /// An access must lie within its entry altogether, whatever the entries say.
    @Test func accessesMustMatchWhole() throws {
      for priv in [UInt64(1), 3] {
        let rig = try rig([(Self.na4 | 7, (Rig.data + 0x10) >> 2)], priv: priv)
        #expect(load(rig, Rig.data + 0x10, .lw) == "ok")
        #expect(load(rig, Rig.data + 0x10, .ld) == "5 \(hex(Rig.data + 0x10))")
        #expect(store(rig, Rig.data + 0x10, .sd) == "7 \(hex(Rig.data + 0x10))")
        #expect(load(rig, Rig.data + 0x18, .ld) == "ok")
      }
    }

    @Test func lockedEntriesBindMachineModeToo() throws {
      let address = (Rig.data | 0x7ff) >> 2
      #expect(load(try rig([(Self.napot, address)], priv: 3), Rig.data) == "ok")
      let rig = try rig([(Self.napot | Self.locked, address)], priv: 3)
      #expect(load(rig, Rig.data) == "5 \(hex(Rig.data))")
      #expect(load(rig, Rig.data + 0x1000) == "ok")
      // And stay as they are.
      rig["pmpcfg0"] = 0
      #expect(rig["pmpcfg0"] == Self.napot | Self.locked)
      rig["pmpaddr0"] = 0
      #expect(rig["pmpaddr0"] == address)
    }

    @Test func aLockedTopOfRangeLocksTheAddressBelow() throws {
      let rig = try rig([(0, 0x100), (Self.tor | Self.locked | 7, 0x200)], priv: 3)
      rig["pmpaddr0"] = 0x50
      #expect(rig["pmpaddr0"] == 0x100)
      rig["pmpcfg0"] = 0x1f
      #expect(rig["pmpcfg0"] == 0x1f | (Self.tor | Self.locked | 7) << 8)
    }

    @Test func writesWithoutReadsAreNotKept() throws {
      let rig = try rig([], priv: 3)
      rig["pmpcfg0"] = 0x1a_1b_02
      #expect(rig["pmpcfg0"] & 0xff != 0x02)
      #expect(rig["pmpcfg0"] >> 16 & 3 != 2)
      #expect(rig["pmpcfg0"] >> 8 & 0xff == 0x1b)
      // Bits 5 and 6 are zero.
      rig["pmpcfg0"] = 0x7f
      #expect(rig["pmpcfg0"] == 0x1f)
      rig["pmpaddr3"] = .max
      #expect(rig["pmpaddr3"] == 0x3f_ffff_ffff_ffff)
    }

    @Test func tableWalksAreSupervisorAccesses() throws {
      let rig = try Rig()
      rig.enterPaging()
      rig.map(0x4000_0000, to: Rig.data, PTE.read | PTE.accessed)
      let table = rig.entry(0x4000_0000) & ~4095
      rig["pmpcfg0"] = 0
      rig["pmpaddr0"] = (table | 0x7ff) >> 2
      rig["pmpaddr1"] = .max
      rig["pmpcfg0"] = Self.napot | (Self.napot | 7) << 8
      rig["priv"] = 1
      rig["a1"] = 0x4000_0000
      rig.run([.load(Reg.a0, Reg.a1)])
      #expect(rig.fault == "5 0x40000000")
    }

    /// Accessed and dirty are stores of the walk's own.
    @Test func tablesThatMayNotBeWrittenKeepTheirBits() throws {
      let rig = try Rig()
      rig.enterPaging()
      rig.map(0x4000_0000, to: Rig.data, PTE.read | PTE.write)
      let entry = rig.entry(0x4000_0000)
      let before = rig.load(entry)
      rig["pmpcfg0"] = 0
      rig["pmpaddr0"] = (entry & ~4095 | 0x7ff) >> 2
      rig["pmpaddr1"] = .max
      rig["pmpcfg0"] = Self.napot | 1 | (Self.napot | 7) << 8
      rig["priv"] = 1
      rig["a1"] = 0x4000_0000
      rig.run([.load(Reg.a0, Reg.a1)])
      #expect(rig.fault == "5 0x40000000")
      rig.run([.store(Reg.a0, Reg.a1)])
      #expect(rig.fault == "7 0x40000000")
      #expect(rig.load(entry) == before)
    }

    /// A jump within a page from a part that may be executed to one that may not.
    @Test func jumpsWithinAPageOfMixedRights() throws {
      let target = Rig.data + 0x100
      let rig = try rig([(0, target >> 2), (Self.tor | 7, (target + 0x40) >> 2)])
      rig.put(Rig.data, [Insn(op: .jal, imm: 0x100)])
      rig.put(target, [.li(Reg.a0, 1), Insn(op: .jal, imm: -0x104)])
      rig["pc"] = Rig.data
      rig.step(6)
      #expect(rig["a0"] == 1)
      #expect(rig["pc"] == Rig.data)
      rig["pmpcfg0"] = (Self.tor | 3) << 8
      rig["priv"] = 1
      rig.step(2)
      #expect(rig["pc"] == Rig.machineVector)
      #expect(rig["mcause"] == 1)
      #expect(rig["mtval"] == target)
    }
  }
}
