import Engine
import GuestKernel
import Machine
import Probes
import Testing

private let root = String(#filePath.dropLast("Tests/ProbesTests/VerifyLegacyTests.swift".count))
private let programs = root + "Tests/ProbesTests/Programs/"

/// The oracle finds what breaks transparency, and says nothing else.
///
/// Mistakes that need an interrupt in the middle of a step are not among them: on watched machines
/// time passes between the program's instructions only. Nor are those that harm only what the
/// program never looks at.
@Suite struct VerifyLegacyTests {
  /// A mistake and where it shows.
  struct Case: CustomTestStringConvertible, Sendable {
    var policy: LegacyPolicies
    var command: [String]
    var probed = Verification.Probed.everyInsn
    var kernel = false
    var caches = CacheModel.coherent
    var testDescription: String {
      "\(policy.rawValue) \(command.last ?? "") \(probed) \(kernel) \(caches)"
    }
  }

  private func verify(
    _ row: Case, legacy: LegacyPolicies, limit: UInt64? = 60_000
  ) throws
    -> Verification.Report
  {
    var options = Verification.Options()
    options.run.memory = 64 << 20
    options.run.cacheModel = row.caches
    options.run.limit = limit
    options.probed = row.probed
    options.kernel = row.kernel
    options.legacy = legacy
    options.patience = 1 << 20
    let command = [programs + row.command[0]] + row.command.dropFirst()
    return try Verification(command, options, output: { _, _ in }).run()
  }

  private static let cases: [Case] = [
    Case(policy: .everythingInSlot, command: ["probes.elf", "a"]),
    Case(policy: .everythingInSlot, command: ["probes.elf", "a"], probed: .none, kernel: true),
    Case(policy: .everythingInSlot, command: ["probes-x86_64.elf", "a"]),
    Case(
      policy: .everythingInSlot, command: ["probes-x86_64.elf", "a"], probed: .none, kernel: true),
    Case(policy: .slotsAreVisible, command: ["probes-x86_64.elf", "s"]),
    Case(policy: .processesAreNotFollowed, command: ["probes-x86_64.elf", "f"]),
    Case(policy: .probesOfOneProcess, command: ["probes-x86_64.elf", "f"]),
    Case(policy: .skipsEntryInsns, command: ["probes-x86_64.elf", "a"]),
    Case(policy: .absentTextIsZeros, command: ["probes-x86_64.elf", "a"]),
    Case(policy: .noRegistrationChecks, command: ["probes-x86_64.elf", "a"]),
    Case(policy: .noBlacklist, command: ["probes-x86_64.elf", "a"], probed: .none, kernel: true),
    Case(policy: .publishedFirst, command: ["probes-x86_64.elf", "a"], probed: .none, kernel: true),
    Case(policy: .slotsAreVisible, command: ["probes.elf", "s"]),
    Case(policy: .processesAreNotFollowed, command: ["probes.elf", "f"]),
    Case(policy: .probesOfOneProcess, command: ["probes.elf", "f"]),
    Case(policy: .absentTextIsZeros, command: ["probes.elf", "a"]),
    Case(policy: .noFetchSynchronisation, command: ["probes.elf", "a"], caches: .architectural),
    Case(policy: .noRegistrationChecks, command: ["probes.elf", "a"]),
    Case(policy: .skipsEntryInsns, command: ["probes.elf", "a"]),
    Case(policy: .noBlacklist, command: ["probes.elf", "a"], probed: .none, kernel: true),
    Case(policy: .publishedFirst, command: ["probes.elf", "a"], probed: .none, kernel: true),
  ]

  @Test("a mistake is found, and nothing without it", arguments: cases)
  func found(row: Case) throws {
    let wrong = try verify(row, legacy: row.policy)
    #expect(wrong.difference != nil)
    let right = try verify(row, legacy: [])
    #expect(right.difference == nil, "\(right.difference ?? [])")
  }

  @Test("at most as many instructions as were asked for, wherever the program ends")
  func limit() throws {
    let row = Case(policy: [], command: ["probes.elf", "a"])
    let whole = try verify(row, legacy: [], limit: nil)
    let count = whole.insns
    for limit in [0, 1, 100, count - 200, count - 2, count - 1, count, count + 1] {
      let report = try verify(row, legacy: [], limit: limit)
      #expect(report.difference == nil, "\(limit): \(report.difference ?? [])")
      #expect(report.insns == min(limit, count), "\(limit)")
      #expect(report.exit == (limit < count ? .limit : whole.exit), "\(limit)")
    }
  }

  @Test("text of any size: what is above the limit goes without probes, and is counted")
  func places() throws {
    var options = Verification.Options()
    options.run.memory = 64 << 20
    options.maxPlaces = 100
    let report =
      try Verification([programs + "probes.elf", "a"], options, output: { _, _ in }).run()
    #expect(report.difference == nil)
    #expect(report.coverage.places == 100)
    #expect(report.coverage.leftOut > 100)
  }
}
