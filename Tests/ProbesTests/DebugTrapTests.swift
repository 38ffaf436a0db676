import Engine
import GuestKernel
import Image
import Machine
import Testing
import X86

@testable import Probes

/// What a program of x86-64 is told of the processor's debug traps.
///
/// - SeeAlso: Linux, `arch/x86/kernel/traps.c`, `get_si_code`.
@Suite struct DebugTrapTests {
  private func set(_ name: String, _ value: UInt64, _ rig: Rig) throws {
    let trace = X86TraceISA()
    let register = try #require(trace.registers.first { $0.name == name })
    trace.setValue(register.slot, value, rig.machine.hart)
  }

  /// `TRAP_HWBKPT` (4) behind a store to what DR0 watches; nothing where it watches loads of a port.
  @Test(
    arguments: [
      (0xd0001, "watch: 1 signals, code 0x4, pc +10, address is pc\n"), (0xe0001, nil),
    ] as [(UInt64, String?)])
  func aWatchedVariable(control: UInt64, expected: String?) throws {
    let rig = try Rig("traps.elf", ["watch"], guest: .x86_64)
    let elf = try ELFFile(rig.elf, requirements: ELFRequirements())
    let address = try #require(elf.symbols.symbol("watched_word")?.address)
    try set("dr0", address, rig)
    try set("dr7", 0x400 | control, rig)
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    if let expected {
      #expect(rig.host.text == expected)
    } else {
      #expect(rig.host.text.hasPrefix("watch: 0 signals"))
    }
  }

  /// `TRAP_BRKPT` (1) of INT1, which DR6 tells nothing of.
  @Test func anInstruction() throws {
    let rig = try Rig("traps.elf", ["int1"], guest: .x86_64)
    #expect(rig.run() == .ended(.exited(0)), "\(rig.messages)")
    #expect(rig.host.text == "int1: 1 signals, code 0x1, pc +1, address is pc\n")
  }
}
