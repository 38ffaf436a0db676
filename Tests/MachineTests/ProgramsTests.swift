import Engine
import GuestKernel
import Machine
import Testing

/// Linux programs from `images/user`, each to its end under the guest kernel.
@Suite struct Programs {
  static let cases = ProgramArchitecture.allCases.flatMap {
    Images.cases("user", fixed: 2, on: $0)
  }

  @Test func theTableIsThere() { #expect(Self.cases.count > 25) }

  /// Output and status are Linux's.
  ///
  /// A second run, and one that is stopped every 10 007 instructions, end in the same state to the
  /// last register and byte.
  @Test(arguments: cases, CacheModel.allCases)
  func program(_ program: ImageCase, _ caches: CacheModel) throws {
    let first = try ProgramRig(program, caches: caches)
    let exit = first.run()
    guard case .ended(let status) = exit else {
      Issue.record("\(exit), \(first.log)")
      return
    }
    #expect(status.shellStatus == program.status)
    if program.status > 128 { #expect(status == .killed(program.status - 128)) }
    #expect(program.comparable(first.host.output) == (try program.expected()))
    #expect(first.log.isEmpty)

    // The longest is given two runs and not three.
    if first.machine.hart.count < 100_000_000 {
      let second = try ProgramRig(program, caches: caches)
      #expect(second.run() == exit)
      #expect(second.differences(from: first) == [])
    }

    let sliced = try ProgramRig(program, caches: caches)
    #expect(sliced.run(slice: 10_007) == exit)
    #expect(sliced.differences(from: first) == [])
  }
}
