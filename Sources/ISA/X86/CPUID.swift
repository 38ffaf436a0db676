import Engine

/// Features as a set of bits.
public struct FeatureSet: Sendable, Equatable {
  /// A bit for every ``Feature`` in the order of its cases.
  private(set) var bits: UInt64

  /// The set of these features.
  public init(_ features: some Sequence<Feature>) {
    bits = features.reduce(0) { $0 | Self.bit($1) }
  }

  /// Whether a feature is in the set.
  public func contains(_ feature: Feature) -> Bool { bits & Self.bit(feature) != 0 }

  /// Every feature.
  public static let all = FeatureSet(Feature.allCases)
  /// Every feature of which there are rows.
  public static let announced = FeatureSet(CPUID.present)
  /// Without what takes VEX-encoded vectors and their state.
  public static let withoutAVX = FeatureSet(
    CPUID.present.subtracting([.xsave, .avx, .avx2, .fma, .f16c, .vaes, .vpclmulqdq]))

  static func bit(_ feature: Feature) -> UInt64 {
    1 << UInt64(Feature.allCases.firstIndex(of: feature) ?? 63)
  }
}

/// What CPUID tells: exactly what there is.
enum CPUID {
  /// What XCR0 may hold: x87, SSE and, where there are such registers, AVX state.
  static func components(_ features: FeatureSet) -> UInt64 {
    features.contains(.avx) ? StateImage.all : StateImage.x87 | StateImage.sse
  }

  /// Where each feature is announced: leaf, register (0 EAX to 3 EDX), bit.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'CPUID - CPU Identification'.
  private static let bits: [Feature: (leaf: UInt32, register: Int, bit: UInt32)] = [
    .fpu: (1, 3, 0), .cx8: (1, 3, 8), .cmov: (1, 3, 15), .clfsh: (1, 3, 19), .mmx: (1, 3, 23),
    .fxsr: (1, 3, 24), .sse: (1, 3, 25), .sse2: (1, 3, 26), .sse3: (1, 2, 0),
    .pclmulqdq: (1, 2, 1), .ssse3: (1, 2, 9), .cx16: (1, 2, 13), .sse41: (1, 2, 19),
    .sse42: (1, 2, 20), .movbe: (1, 2, 22), .popcnt: (1, 2, 23), .aes: (1, 2, 25),
    .xsave: (1, 2, 26), .avx: (1, 2, 28), .fsgsbase: (7, 1, 0), .bmi1: (7, 1, 3),
    .avx2: (7, 1, 5), .bmi2: (7, 1, 8), .adx: (7, 1, 19), .clflushopt: (7, 1, 23),
    .clwb: (7, 1, 24), .rdpid: (7, 2, 22), .lahf: (0x8000_0001, 2, 0), .abm: (0x8000_0001, 2, 5),
    .rdtscp: (0x8000_0001, 3, 27), .fma: (1, 2, 12), .f16c: (1, 2, 29), .smap: (7, 1, 20),
    .invpcid: (7, 1, 10), .vaes: (7, 2, 9), .vpclmulqdq: (7, 2, 10), .sha: (7, 1, 29),
    .rdrand: (1, 2, 30), .rdseed: (7, 1, 18),
  ]

  /// The features of which there are rows.
  static let present = Set(Encodings.allRows.flatMap { [$0.feature, $0.wideFeature] })

  /// The answer to a leaf and its subleaf of a processor with these features.
  static func leaf(
    _ leaf: UInt32, _ sub: UInt32, _ features: FeatureSet = .announced
  ) -> (UInt32, UInt32, UInt32, UInt32) {
    var answer: [UInt32] = [0, 0, 0, 0]
    for (feature, place) in bits
    where place.leaf == leaf && sub == 0 || place.leaf == leaf && leaf != 7 {
      if features.contains(feature) { answer[place.register] |= 1 << place.bit }
    }
    switch leaf {
    case 0:
      // "GenuineIntel": the processor of the manual that is followed. glibc looks at no feature of a
      // maker that it does not know (sysdeps/x86/cpu-features.c, get_common_indices).
      answer = [0xd, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]
    case 1:
      // Family 6, model 15. The line that CLFLUSH works on has 64 bytes. PCID, x2APIC, the
      // deadline timer; DE, PSE, TSC, MSRs, PAE, APIC, PGE, PAT.
      answer[0] = 0x6f0
      answer[1] = 8 << 8 | 1 << 16
      answer[2] |= 1 << 17 | 1 << 21 | 1 << 24
      answer[3] |= 0x7c | 1 << 9 | 1 << 13 | 1 << 16
    // Leaf 4 has the caches.
    case 2: answer[0] = 0xff01
    case 4: answer = cacheLeaf(sub)
    case 7 where sub == 0:
      // SMEP; the x87 unit tells no segments; UMIP and five-level paging.
      answer[1] |= 1 << 7 | 1 << 13
      answer[2] |= 1 << 2 | 1 << 16
    case 0xd where features.contains(.xsave): answer = stateLeaf(sub, features)
    case 0x8000_0000: answer[0] = 0x8000_0008
    // SYSCALL, NX, pages of 1 GiB, long mode; invariant TSC; 57-bit virtual and 46-bit physical
    // addresses.
    case 0x8000_0001: answer[3] |= 1 << 11 | 1 << 20 | 1 << 26 | 1 << 29
    case 0x8000_0007: answer[3] = 1 << 8
    case 0x8000_0008: answer[0] = 0x392e
    default: break
    }
    return (answer[0], answer[1], answer[2], answer[3])
  }

  /// Leaf 04H: caches of a size that programs can plan with; lines have 64 bytes.
  private static func cacheLeaf(_ sub: UInt32) -> [UInt32] {
    // Type (data, instructions, both), level, ways, sets.
    let caches: [(UInt32, UInt32, UInt32, UInt32)] = [
      (1, 1, 8, 64), (2, 1, 8, 64), (3, 2, 16, 1024), (3, 3, 16, 8192),
    ]
    guard sub < caches.count else { return [0, 0, 0, 0] }
    let (type, level, ways, sets) = caches[Int(sub)]
    return [type | level << 5 | 1 << 8, 63 | (ways - 1) << 22, sets - 1, 0]
  }

  /// Leaf 0DH: the components and the size of an image of them; XSAVEOPT; where the upper halves
  /// stand.
  ///
  /// The size of what is enabled is not a constant.
  private static func stateLeaf(_ sub: UInt32, _ features: FeatureSet) -> [UInt32] {
    let components = components(features)
    return switch sub {
    case 0: [UInt32(components), 0, UInt32(StateImage.size(of: components)), 0]
    case 1: [1, 0, 0, 0]
    case 2 where components & StateImage.avx != 0: [256, UInt32(StateImage.upperOffset), 0, 0]
    default: [0, 0, 0, 0]
    }
  }
}
