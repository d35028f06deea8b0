# Rows of the tests of weights: analysis/peers/reference_weights.py has the same formulas.
BEGIN {
    print "x1,x2,weight,offset,rare,count,real,class,mixed"
    for (i = 0; i < 300; i++) {
        a = (i * 37 + 11) % 101; b = (i * 53 + 7) % 89
        x1 = (a - 50) / 32; x2 = (b - 44) / 32
        rare = (i * 29) % 97 < 3 + 8 * (a > 60) + 6 * (b > 60)
        w = i % 10 == 9 ? 0 : 0.5 + i % 4 / 2
        off = ((i * 17) % 23 - 11) / 16
        count = (i * 7) % 3 + 2 * (a > 55) + (b > 50) + (off > 0.3)
        real = 3 + 2 * x1 - x2 + ((i * 31) % 13 - 6) / 8
        printf "%.5f,%.5f,%.1f,%.4f,%d,%d,%.5f,c%d,m%d\n", x1, x2, w, off, rare, count, real, rare,
            (i % 10 == 9 ? 2 : (i % 10 > 5))
    }
}
