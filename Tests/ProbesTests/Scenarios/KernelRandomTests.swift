import Engine
import GuestKernel
import Machine
import Testing
import X86

@testable import Probes

/// Random probes of the kernel, whose handlers register, take away and switch others at random.
@Suite struct KernelRandomTests {
  /// Numbers that follow from a seed.
  struct Numbers: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var z = state
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return z ^ (z >> 31)
    }
  }

  /// The probes of a run and who changes them.
  private final class Chaos {
    let rig: Rig
    let places: [UInt64]
    let functions: [UInt64]
    var dice: Numbers
    var kprobes: [Kprobe] = []
    var kretprobes: [Kretprobe] = []
    var refusals: Set<Errno> = []
    var handled = 0

    init(_ rig: Rig, seed: UInt64) throws {
      self.rig = rig
      dice = Numbers(state: seed)
      places =
        try (rig.targetInsns() + rig.insns("run_probe_targets") + rig.insns("do_sys_openat2"))
        .map(\.address)
      functions = places.filter { rig.machine.kernel.image?.symbol(at: $0)?.offset == 0 }
    }

    func roll(_ sides: Int) -> Int { Int.random(in: 0..<sides, using: &dice) }

    func attempt(_ body: () throws -> Void) {
      do {
        try body()
      } catch {
        refusals.insert((error as? ProbeError)?.errno ?? .EIO)
      }
    }

    /// One change, whoever is being served.
    func change() {
      handled += 1
      switch roll(40) {
      case 0..<5: add()
      case 5..<8:
        if let probe = kprobes.randomElement(using: &dice) { rig.probes.unregister(probe) }
      case 8..<10:
        if let probe = kretprobes.randomElement(using: &dice) { rig.probes.unregister(probe) }
      case 10..<14:
        if let probe = kprobes.randomElement(using: &dice) {
          attempt { try rig.probes.setEnabled(probe, roll(2) == 0) }
        }
      case 14..<16:
        if let probe = kretprobes.randomElement(using: &dice) {
          attempt { try rig.probes.setEnabled(probe, roll(2) == 0) }
        }
      case 16: rig.probes.kprobesAreOn.toggle()
      case 17: rig.probes.hurryKprobeOptimiser()
      default: break
      }
    }

    func add() {
      if roll(3) == 0, let function = functions.randomElement(using: &dice) {
        attempt {
          var request = KretprobeRequest(.address(function), maxactive: roll(6))
          if roll(2) == 0 {
            request.entry = { [unowned self] _ in
              change()
              return roll(4) > 0
            }
          }
          if roll(4) > 0 { request.ret = { [unowned self] _ in change() } }
          kretprobes.append(try rig.probes.registerKretprobe(request))
        }
      } else if let place = places.randomElement(using: &dice) {
        attempt {
          var request = KprobeRequest(.address(place))
          request.isDisabled = roll(6) == 0
          if roll(4) > 0 {
            request.pre = { [unowned self] context in
              change()
              // A handler that runs into a probe itself.
              if roll(16) == 0, let other = kprobes.randomElement(using: &dice),
                other.isRegistered, rig.probes.kprobes.points[other.address]?.isArmed == true
              {
                rig.hit(other.address, within: context)
              }
              return .continue
            }
          }
          if roll(2) == 0 { request.post = { [unowned self] _ in change() } }
          kprobes.append(try rig.probes.registerKprobe(request))
        }
      }
    }
  }

  @Test("the kernel goes on as it does without", arguments: 1...40, guests)
  func transparency(seed: Int, guest: ProgramArchitecture) throws {
    // Copies that a single step ends, where a guest has it both ways.
    let stepped = guest == .x86_64 && seed % 5 == 0 ? X86ProbeISA(kernelStep: .singleStep) : nil
    let rig = try Rig.targets(
      guest, [], seed % 2 == 0 ? .coherent : .architectural, isa: stepped)
    let chaos = try Chaos(rig, seed: UInt64(seed))
    let before = try rig.text(rig.symbol("kprobe_target"), 1024)
    // Where a guest has them, probes become jumps, and breaks again, meanwhile.
    let mayJump = seed % 3 != 0
    rig.probes.optimisesKprobes = mayJump
    for _ in 0..<chaos.roll(30) + 1 { chaos.add() }
    if mayJump { rig.probes.hurryKprobeOptimiser() }
    #expect(rig.run(limit: 30_000_000) == Rig.allRight, "\(chaos.handled)")
    for probe in chaos.kprobes { rig.probes.unregister(probe) }
    for probe in chaos.kretprobes { rig.probes.unregister(probe) }
    rig.probes.kprobesAreOn = true
    #expect(try rig.text(rig.symbol("kprobe_target"), 1024) == before)
    #expect(rig.probes.kprobes.slots.inUse == 0)
    #expect(rig.probes.kprobes.points.isEmpty)
  }
}
