import Engine
import GuestKernel
import Machine
import Testing

@testable import Probes

/// Where a kernel probe may be, and what is said where it may not.
@Suite struct KernelRegistrationTests {
  @Test("U17 a kprobe by raw address", arguments: guests)
  func byAddress(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let address = try rig.symbol("probe_leaf")
    let probe = try rig.probes.registerKprobe(KprobeRequest(.address(address)))
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(probe.hits == 10)
    #expect(probe.symbol == "probe_leaf" && probe.offset == 0)
  }

  @Test("functions that only pass a call on are on its way", arguments: guests)
  func thunks(guest: ProgramArchitecture) throws {
    // A linker may have calls of them go where they jump to.
    let rig = try Rig("files.elf", guest: guest)
    let probes = try ["__do_sys_openat", "__do_sys_read", "__do_sys_write", "__do_sys_close"].map {
      try rig.kprobe($0)
    }
    #expect(rig.run() == Rig.allRight)
    for probe in probes { #expect(probe.hits > 0, "\(probe.symbol)") }
  }

  @Test("U28 registration while another probe is being served and registered", arguments: guests)
  func whileServing(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    var made: [Kprobe] = []
    try rig.kprobe(
      "probe_leaf",
      pre: { _ in
        // Here and elsewhere, and one whose own handler registers a third.
        if made.isEmpty {
          made.append(try! rig.kprobe("probe_leaf"))
          made.append(
            try! rig.kprobe(
              "probe_pcrel",
              pre: { _ in
                if made.count == 2 { made.append(try! rig.kprobe("probe_stacked")) }
                return .continue
              }))
        }
        return .continue
      })
    #expect(rig.run(limit: Rig.enough) == Rig.allRight, "\(rig.messages)")
    // The new one at the same address does not see the hit that is being served.
    #expect(made.map(\.hits) == [9, 10, 10])
  }

  @Test("U31 text that takes no probes", arguments: [0, 1], guests)
  func blacklist(index: Int, guest: ProgramArchitecture) throws {
    let name = GuestFacts.of(guest).trapPath[index]
    let legacy = try Rig.targets(guest, [.noBlacklist, .anyInstruction])
    try legacy.kprobe("probe_leaf")
    try legacy.kprobe(name)
    // The trap of a break runs into a break.
    #expect(legacy.run(limit: Rig.enough) != Rig.allRight)

    let rig = try Rig.targets(guest)
    for insn in try rig.insns(name) {
      #expect(rig.refusal(.address(insn.address))?.errno == .EINVAL)
    }
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
  }

  @Test("U32 an address inside an instruction", arguments: guests)
  func midInstruction(guest: ProgramArchitecture) throws {
    let isa = try Rig.targets(guest).probes.isa
    let places = try Rig.targets(guest).insns("probe_pcrel").filter {
      $0.length > isa.insnAlignment && !["nop", "ret"].contains($0.name)
    }
    #expect(places.count > 2)
    for insn in places {
      // Before its last byte or two.
      let address = insn.address &+ insn.length &- isa.insnAlignment
      let legacy = try Rig.targets(guest, [.anyAddress, .anyInstruction])
      _ = try legacy.probes.registerKprobe(KprobeRequest(.address(address)))
      // The break is a part of the instruction.
      #expect(legacy.run(limit: Rig.enough) != Rig.allRight, "\(insn)")

      let rig = try Rig.targets(guest)
      let refusal = try #require(rig.refusal(.address(address)))
      #expect(refusal.errno == .EILSEQ)
      #expect(rig.text(insn.address, insn.bytes.count) == insn.bytes)
      #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    }
  }

  @Test("U33 bytes that are no instruction", arguments: [0, 1], guests)
  func undecodable(index: Int, guest: ProgramArchitecture) throws {
    let bytes = GuestFacts.of(guest).undefinedInKernel[index]
    let rig = try Rig.targets(guest)
    let address = try rig.symbol("arch_cpu_idle")
    #expect(rig.machine.kernel.writeKernel(address, bytes))
    let refusal = try #require(rig.refusal(.address(address)))
    #expect(refusal.errno == .EINVAL)
    #expect(refusal.reason.hasSuffix("not an instruction"))
    #expect(rig.text(address) == bytes)
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
  }

  @Test("U84 registration fails with an errno and leaves nothing behind", arguments: guests)
  func errors(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let leaf = try rig.symbol("probe_leaf")
    let text = try rig.symbol("_stext")
    let length = Int(try rig.symbol("_etext") &- text)
    let before = rig.text(text, length)
    let rows: [(KernelPlace, Errno)] = [
      (.symbol("no_such_function"), .ENOENT), (.symbol(""), .ENOENT),
      (.symbol("probe_leaf", offset: 1), .EILSEQ), (.symbol("probe_leaf", offset: .max), .EILSEQ),
      (.address(0), .ENOENT), (.address(.max), .ENOENT), (.address(leaf &+ 1), .EILSEQ),
      (.symbol("probe_divisor"), .EINVAL), (.symbol("kprobe_insn_slots"), .EINVAL),
      (.symbol("gate_call"), .EINVAL), (.symbol("probe_targets"), .EINVAL),
      (.symbol("_start"), .EINVAL), (.address(rig.machine.kernel.isa.linearMapBase), .ENOENT),
    ]
    for (place, errno) in rows {
      #expect(rig.refusal(place)?.errno == errno, "\(place)")
      #expect(throws: ProbeError.self, "\(place)") {
        try rig.probes.registerKretprobe(KretprobeRequest(place))
      }
    }
    #expect(rig.probes.kprobes.points.isEmpty)
    #expect(rig.probes.kprobes.slots.inUse == 0)
    #expect(rig.text(text, length) == before)
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
  }

  @Test(
    "U88 handlers are optional; offsets are aligned, and may lead into the next function",
    arguments: guests)
  func offsets(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    #expect(throws: Never.self) { try rig.kprobe("probe_leaf") }
    let leaf = try rig.symbol("probe_leaf")
    let places = Set(try rig.insns("probe_leaf").map(\.address))
    for offset in UInt64(1)..<16 where !places.contains(leaf &+ offset) {
      #expect(rig.refusal(.symbol("probe_leaf", offset: offset))?.errno == .EILSEQ)
    }
    let next = try rig.symbol("probe_pcrel") &- rig.symbol("probe_leaf")
    let probe = try rig.kprobe("probe_leaf", next)
    #expect(probe.symbol == "probe_pcrel" && probe.offset == 0)
    #expect(throws: ProbeError.self) {
      try rig.probes.registerKretprobe(KretprobeRequest(.symbol("probe_leaf", offset: 2)))
    }
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(probe.hits == 10)
  }
}
