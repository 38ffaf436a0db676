import Engine
import Machine
import Testing

@testable import GuestKernel
@testable import Probes

/// Random programs with random probes end as they do without.
@Suite struct UserRandomTests {
  /// Numbers that follow from a seed.
  private struct Numbers: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var z = state
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return z ^ (z >> 31)
    }
  }

  private static let steps = [
    "x", "y", "h", "C", "U", "Z", "A", "N", "L", "Y", "a0l", "a1l", "a0s", "g", "mc", "rc", "mqc",
    "wc", "oc", "T4", "n1", "J2", "V", "z", "mcu0", "G",
  ]

  private static let functions = [
    "xorfn", "sweepfn", "shortfn", "crossfn", "loadfn", "storefn", "semfn", "vforkfn", "forkfn",
    "spawn", "tail1", "tail2", "tail3", "deep", "inner", "middle", "outer", "chain1", "chain2",
    "outer2", "thrower", "throwtail", "catcher", "catchcall", "mark", "leap", "print", "worker",
    "once", "run", "step",
  ]

  /// Steps of a program: some of them a child's.
  private func program(_ numbers: inout Numbers) -> String {
    var text = "mm"
    var isChild = false
    for _ in 0..<Int.random(in: 4...16, using: &numbers) {
      var step = Self.steps.randomElement(using: &numbers) ?? "x"
      if step.last?.isLetter == true { step += String(Int.random(in: 0...9, using: &numbers)) }
      // What was unmapped or moved is mapped again.
      if step.contains("u") || step.contains("r") { step = "m" + step + "m" }
      text += step
      if Int.random(in: 0..<4, using: &numbers) == 0 {
        text += isChild ? "." : "F"
        isChild.toggle()
      }
    }
    return text + (isChild ? "." : "")
  }

  @Test("random programs with random probes end as they do without", arguments: 1...30, guests)
  func transparency(seed: Int, guest: ProgramArchitecture) throws {
    var numbers = Numbers(state: UInt64(seed))
    let text = program(&numbers)
    let caches: CacheModel = seed % 2 == 0 ? .coherent : .architectural
    let plain = try Scene(guest, text, caches: caches)
    #expect(plain.run() == .ended(.exited(0)), "\(text)")
    let scene = try Scene(guest, text, caches: caches)
    scene.probes.uprobes.slotCount = Int.random(in: 2...5, using: &numbers)
    var dice = Numbers(state: UInt64(seed) << 32)
    var probes: [Uprobe] = []
    func entry(_ context: ProbeContext) -> ProbeAction {
      switch UInt8.random(in: 0..<40, using: &dice) {
      case 0...5: context.yield()
      case 6:
        // Away with one that was there before.
        if let probe = probes.randomElement(using: &dice) { scene.probes.unregister(probe) }
      case 7: return .remove
      case 8: context.raise(Signal.SIGCHLD)
      default: break
      }
      return .continue
    }
    func request(_ file: ProbedFile, _ offset: UInt64, ret: Bool = true) -> UprobeRequest {
      var request = UprobeRequest(file, offset: offset)
      let kind = ret ? Int.random(in: 0..<3, using: &dice) : 0
      if kind != 1 { request.entry = entry }
      if kind != 0 {
        request.ret = { context in
          if UInt8.random(in: 0..<8, using: &dice) == 0 { context.yield() }
        }
      }
      return request
    }
    for name in Self.functions {
      guard let start = try? scene.rig.offset(name),
        Int.random(in: 0..<3, using: &numbers) > 0
      else { continue }
      // As on Linux, what setjmp keeps must not be the trampoline.
      probes.append(
        try scene.probes.registerUprobe(request(scene.program, start, ret: name != "mark")))
    }
    for offset in [0x1040, 0x1044, 0x2040] as [UInt64] {
      probes.append(try scene.probes.registerUprobe(request(scene.lib, offset)))
    }
    #expect(scene.run() == .ended(.exited(0)), "\(text)")
    #expect(scene.rig.host.text == plain.rig.host.text, "\(text)")
    #expect(probes.contains { $0.hits > 0 })
    // What is left over harms nobody.
    for probe in probes { scene.probes.unregister(probe) }
    #expect(scene.probes.uprobes.points.isEmpty)
  }
}
